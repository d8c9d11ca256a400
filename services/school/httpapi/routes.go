package httpapi

import (
	"github.com/gin-gonic/gin"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
)

// Register adds the routes to e. All of them require an access token that v accepts.
func (a *API) Register(e *gin.Engine, v *auth.Verifier) {
	api := e.Group("/api/v1", auth.RequireToken(v))
	api.POST("/schools", httpx.Handle(a.createSchool))
	api.GET("/schools", httpx.Handle(a.listSchools))
	api.GET("/schools/:id", httpx.Handle(a.getSchool))
	api.PATCH("/schools/:id", httpx.Handle(a.patchSchool))
	api.DELETE("/schools/:id", httpx.Handle(a.deleteSchool))

	api.POST("/schools/:id/restore", httpx.Handle(a.restoreSchool))

	api.GET("/schools/:id/members", httpx.Handle(a.listMembers))
	api.PATCH("/schools/:id/members/:user_id", httpx.Handle(a.patchMember))
	api.DELETE("/schools/:id/members/:user_id", httpx.Handle(a.deleteMember))

	api.POST("/schools/:id/invites", httpx.Handle(a.createInvite))
	api.GET("/schools/:id/invites", httpx.Handle(a.listInvites))
	api.DELETE("/invites/:code", httpx.Handle(a.deleteInvite))
	api.POST("/invites/:code/accept", httpx.Handle(a.acceptInvite))

	api.POST("/schools/:id/classes", httpx.Handle(a.createClass))
	api.GET("/schools/:id/classes", httpx.Handle(a.listClasses))
	api.GET("/classes/:id", httpx.Handle(a.getClass))
	api.PATCH("/classes/:id", httpx.Handle(a.patchClass))
	api.DELETE("/classes/:id", httpx.Handle(a.deleteClass))
	api.POST("/classes/:id/restore", httpx.Handle(a.restoreClass))

	api.GET("/classes/:id/members", httpx.Handle(a.listClassMembers))
	api.PUT("/classes/:id/members/:user_id", httpx.Handle(a.putClassMember))
	api.DELETE("/classes/:id/members/:user_id", httpx.Handle(a.deleteClassMember))
}
