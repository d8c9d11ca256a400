package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pgo/pkg/auth"
	"pgo/pkg/etag"
	"pgo/pkg/httpx"
	"pgo/services/user"
)

// patchMeRequest is the body of a request with which people change their own data.
type patchMeRequest struct {
	Name httpx.Optional[string] `json:"name" swaggertype:"string" minLength:"1" maxLength:"100"`
	// Language is the language of mails.
	Language httpx.Optional[string] `json:"language" swaggertype:"string" enums:"en,zh"`
}

// passwordRequest is the body of a request that a password confirms.
type passwordRequest struct {
	Password string `json:"password"`
}

// changePasswordRequest is the body of a request that changes the caller's password.
type changePasswordRequest struct {
	CurrentPassword string `json:"current_password"`
	NewPassword     string `json:"new_password" minLength:"10" maxLength:"128"`
}

// getMe godoc
//
//	@Summary	Get my account
//	@Tags		me
//	@Security	BearerAuth
//	@Produce	json
//	@Param		If-None-Match	header		string	false	"an entity tag: 304 when it is the current one"
//	@Success	200				{object}	user.User
//	@Header		200				{string}	ETag	"the user's version"
//	@Success	304
//	@Failure	401	{object}	problem.Body	"unauthenticated"
//	@Router		/users/me [get]
func (a *API) getMe(c *gin.Context) error {
	if err := httpx.RejectQuery(c); err != nil {
		return err
	}
	u, err := a.users.GetUser(c.Request.Context(), auth.PrincipalFrom(c).UserID)
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, u.Version, u)
	return nil
}

// patchMe godoc
//
//	@Summary	Change my name or the language of my mails
//	@Tags		me
//	@Security	BearerAuth
//	@Accept		json
//	@Produce	json
//	@Param		If-Match	header		string			false	"the entity tag of the version to change"
//	@Param		body		body		patchMeRequest	true	"what changes"
//	@Success	200			{object}	user.User
//	@Header		200			{string}	ETag			"the user's version"
//	@Failure	401			{object}	problem.Body	"unauthenticated"
//	@Failure	412			{object}	problem.Body	"precondition_failed"
//	@Failure	422			{object}	problem.Body	"validation_failed"
//	@Router		/users/me [patch]
func (a *API) patchMe(c *gin.Context) error {
	var body patchMeRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	u, err := a.users.UpdateUser(c.Request.Context(), auth.PrincipalFrom(c).UserID, user.UserPatch{Name: body.Name.Pointer(), Language: body.Language.Pointer()}, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, u.Version, u)
	return nil
}

// deleteMe godoc
//
//	@Summary	Delete my account
//	@Tags		me
//	@Security	BearerAuth
//	@Accept		json
//	@Param		If-Match	header	string			false	"the entity tag of the version to delete"
//	@Param		body		body	passwordRequest	true	"the password confirms it"
//	@Success	204
//	@Failure	401	{object}	problem.Body	"unauthenticated, invalid_credentials"
//	@Failure	409	{object}	problem.Body	"last_admin"
//	@Failure	412	{object}	problem.Body	"precondition_failed"
//	@Failure	429	{object}	problem.Body	"too_many_attempts"
//	@Router		/users/me [delete]
func (a *API) deleteMe(c *gin.Context) error {
	var body passwordRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	who := auth.PrincipalFrom(c)
	if err := a.users.DeleteOwnAccount(c.Request.Context(), who.UserID, who.SessionID, body.Password, etag.ParseIfMatch(c.Request.Header)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// changePassword godoc
//
//	@Summary		Change my password
//	@Description	All other sessions end.
//	@Tags			me
//	@Security		BearerAuth
//	@Accept			json
//	@Param			body	body	changePasswordRequest	true	"old and new password"
//	@Success		204
//	@Failure		401	{object}	problem.Body	"unauthenticated, invalid_credentials"
//	@Failure		422	{object}	problem.Body	"validation_failed"
//	@Failure		429	{object}	problem.Body	"too_many_attempts"
//	@Router			/users/me/password [put]
func (a *API) changePassword(c *gin.Context) error {
	var body changePasswordRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	who := auth.PrincipalFrom(c)
	device, err := a.users.ChangePassword(c.Request.Context(), who.UserID, who.SessionID, body.CurrentPassword, body.NewPassword)
	if err != nil {
		return err
	}
	setDeviceCookie(c, device)
	c.Status(http.StatusNoContent)
	return nil
}
