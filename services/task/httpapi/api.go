// Package httpapi is the Task service over HTTP.
package httpapi

import (
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"pgo/pkg/auth"
	"pgo/pkg/etag"
	"pgo/pkg/httpx"
	"pgo/pkg/page"
	"pgo/services/task"
)

// API answers the calls of the Task service.
//
//	@title						Task
//	@version					1
//	@description				What teachers set, what students hand in, and how it is graded. Who is in which class is known from the School service's events, so it may be a moment behind. Errors are problems (RFC 9457) with a stable code. Beside the codes that a call lists, every call may answer 400 malformed_json or malformed_query, 405 method_not_allowed, 413 body_too_large, 415 unsupported_media_type, 422 validation_failed and 503 unavailable.
//	@BasePath					/api/v1
//	@securityDefinitions.apikey	BearerAuth
//	@in							header
//	@name						Authorization
//	@description				Type: Bearer, a space, and the access token that POST /auth/login gives.
type API struct {
	tasks *task.Service
}

// New returns the API.
func New(tasks *task.Service) *API { return &API{tasks: tasks} }

// Register adds the routes to e. All stand behind a token.
func (a *API) Register(e *gin.Engine, v *auth.Verifier) {
	api := e.Group("/api/v1", auth.Required(v))
	api.POST("/tasks", httpx.Handle(a.createTask))
	api.GET("/tasks", httpx.Handle(a.listTasks))
	api.GET("/tasks/:id", httpx.Handle(a.getTask))
	api.PATCH("/tasks/:id", httpx.Handle(a.patchTask))
	api.DELETE("/tasks/:id", httpx.Handle(a.deleteTask))
	api.POST("/tasks/:id/publish", httpx.Handle(a.publishTask))
	api.POST("/tasks/:id/close", httpx.Handle(a.closeTask))

	api.PUT("/tasks/:id/submission", httpx.Handle(a.putSubmission))
	api.GET("/tasks/:id/submission", httpx.Handle(a.getMySubmission))

	api.GET("/tasks/:id/assignments", httpx.Handle(a.listAssignments))
	api.GET("/tasks/:id/submissions", httpx.Handle(a.listSubmissions))
	api.GET("/tasks/:id/submissions/:user_id", httpx.Handle(a.getSubmission))
	api.PUT("/tasks/:id/submissions/:user_id/grade", httpx.Handle(a.putGrade))
	api.GET("/tasks/:id/stats", httpx.Handle(a.getStats))
	api.GET("/tasks/:id/grades.csv", httpx.Handle(a.getGrades))
}

// write answers with something that has a version, or with 304 when the caller has it.
func write(c *gin.Context, status int, version int64, body any) {
	c.Header("ETag", etag.Of(version))
	c.Header("Cache-Control", "private, no-cache")
	if c.Request.Method == http.MethodGet && etag.NotModified(c.Request.Header, version) {
		c.Status(http.StatusNotModified)
		return
	}
	c.JSON(status, body)
}

// noQuery refuses any query parameter, for calls that take none.
func noQuery(c *gin.Context) error {
	_, err := httpx.Query(c)
	return err
}

// read reads the body of a call that takes no query.
func read(c *gin.Context, dst any) error {
	if err := noQuery(c); err != nil {
		return err
	}
	return httpx.ReadJSON(c, dst)
}

// pathID returns the path's task of a call that takes no query.
func pathID(c *gin.Context) (string, error) {
	if err := noQuery(c); err != nil {
		return "", err
	}
	return httpx.ID(c, "id")
}

// pathIDs returns the path's task and student of a call that takes no query.
func pathIDs(c *gin.Context) (taskID, userID string, err error) {
	if taskID, err = pathID(c); err != nil {
		return "", "", err
	}
	userID, err = httpx.ID(c, "user_id")
	return taskID, userID, err
}

// pageOf reads which page of a list is asked for; id tells the id in the list's key.
func pageOf[K any](q url.Values, id func(K) string) (page.Request[K], error) {
	p, err := page.Parse[K](q.Get("limit"), q.Get("cursor"))
	if err == nil && p.After != nil && uuid.Validate(id(*p.After)) != nil {
		err = page.BadCursor()
	}
	return p, err
}

// peoplePage reads which page of a list of people's work is asked for.
func peoplePage(q url.Values) (page.Request[task.UserKey], error) {
	return pageOf(q, func(k task.UserKey) string { return k.UserID })
}

func caller(c *gin.Context) string { return auth.From(c).UserID }
