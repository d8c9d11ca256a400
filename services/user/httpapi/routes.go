package httpapi

import (
	"github.com/gin-gonic/gin"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
	"pgo/services/user"
)

// Register adds the routes to e. Protected routes require an access token that v accepts.
func (a *API) Register(e *gin.Engine, v *auth.Verifier) {
	e.GET(auth.KeysPath, httpx.Handle(a.getKeys))
	api := e.Group("/api/v1")
	api.GET(auth.KeysPath, httpx.Handle(a.getKeys))
	api.POST("/auth/register", httpx.Handle(a.registerUser))
	api.POST("/auth/login", httpx.Handle(a.logIn))
	api.POST("/auth/refresh", httpx.Handle(a.refreshTokens))
	api.GET("/auth/email/verify", a.showVerifyPage())
	api.GET("/auth/password/reset", a.showResetPage())
	api.POST("/auth/email/verify", httpx.Handle(a.verifyEmail))
	api.POST("/auth/password/forgot", httpx.Handle(a.forgotPassword))
	api.POST("/auth/password/reset", httpx.Handle(a.resetPassword))

	me := api.Group("", auth.RequireToken(v))
	me.POST("/auth/logout", httpx.Handle(a.logOut))
	me.GET("/auth/sessions", httpx.Handle(a.listSessions))
	me.DELETE("/auth/sessions/:id", httpx.Handle(a.endSession))
	me.POST("/auth/email/resend", httpx.Handle(a.resendVerification))
	me.GET("/users/me", httpx.Handle(a.getMe))
	me.PATCH("/users/me", httpx.Handle(a.patchMe))
	me.DELETE("/users/me", httpx.Handle(a.deleteMe))
	me.PUT("/users/me/password", httpx.Handle(a.changePassword))

	admin := me.Group("", auth.RequireRole(user.RoleAdmin))
	admin.GET("/users", httpx.Handle(a.listUsers))
	admin.GET("/users/:id", httpx.Handle(a.getUser))
	admin.PATCH("/users/:id", httpx.Handle(a.patchUser))
	admin.DELETE("/users/:id", httpx.Handle(a.deleteUser))
}
