package httpapi

import (
	"github.com/gin-gonic/gin"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
)

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
