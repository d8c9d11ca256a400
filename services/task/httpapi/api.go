// Package httpapi serves the Task service over HTTP.
package httpapi

import (
	"net/url"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
	"pgo/pkg/page"
	"pgo/services/task"
)

// API handles the requests of the Task service.
//
//	@title						Task
//	@version					1
//	@description				The tasks that teachers set, the submissions of students, and grades. The members of classes are known from the School service's events, so they may be a moment behind. Errors are problems (RFC 9457) with a stable code. Besides the codes that a call lists, every call may answer 400 malformed_json or malformed_query, 405 method_not_allowed, 413 body_too_large, 415 unsupported_media_type, 422 validation_failed and 503 unavailable.
//	@BasePath					/api/v1
//	@securityDefinitions.apikey	BearerAuth
//	@in							header
//	@name						Authorization
//	@description				Type: Bearer, a space, and the access token that POST /auth/login gives.
type API struct {
	tasks *task.Service
}

// New returns the API of tasks.
func New(tasks *task.Service) *API { return &API{tasks: tasks} }

// Register adds the routes to e. All of them require an access token that v accepts.
func (a *API) Register(e *gin.Engine, v *auth.Verifier) {
	api := e.Group("/api/v1", auth.RequireToken(v))
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
	api.GET("/tasks/:id/submission/hand-ins", httpx.Handle(a.listMyHandIns))
	api.GET("/tasks/:id/submission/hand-ins/:number", httpx.Handle(a.getMyHandIn))
	api.GET("/tasks/:id/submissions/:user_id/hand-ins", httpx.Handle(a.listHandIns))
	api.GET("/tasks/:id/submissions/:user_id/hand-ins/:number", httpx.Handle(a.getHandIn))
	api.PUT("/tasks/:id/extensions/:user_id", httpx.Handle(a.putExtension))
	api.DELETE("/tasks/:id/extensions/:user_id", httpx.Handle(a.deleteExtension))
	api.GET("/tasks/:id/stats", httpx.Handle(a.getStats))
	api.GET("/tasks/:id/grades.csv", httpx.Handle(a.getGrades))
}

// parseUserPage parses the requested page of a list of assignments or submissions.
func parseUserPage(q url.Values) (page.Request[task.UserKey], error) {
	return page.Parse(q, func(k task.UserKey) bool { return uuid.Validate(k.UserID) == nil })
}

// callerID returns the id of the person who makes the request.
func callerID(c *gin.Context) string { return auth.PrincipalFrom(c).UserID }
