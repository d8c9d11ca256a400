package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
)

// tokenRequest is the body of a request that verifies an address.
type tokenRequest struct {
	Token string `json:"token"`
}

// emailRequest is the body of a request for a reset mail.
type emailRequest struct {
	Email string `json:"email" example:"ada@example.org"`
}

// resetRequest is the body of a request that resets a password.
type resetRequest struct {
	Token    string `json:"token"`
	Password string `json:"password" minLength:"10" maxLength:"128"`
}

// verifyEmail godoc
//
//	@Summary	Verify an e-mail address
//	@Tags		auth
//	@Accept		json
//	@Param		body	body	tokenRequest	true	"the token that came by mail"
//	@Success	204
//	@Failure	410	{object}	problem.Body	"token_expired"
//	@Router		/auth/email/verify [post]
func (a *API) verifyEmail(c *gin.Context) error {
	var body tokenRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	if err := a.users.VerifyEmail(c.Request.Context(), body.Token); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// resendVerification godoc
//
//	@Summary		Send the verification mail again
//	@Description	Nothing is sent when the address is verified already, when a mail is on its way, or after three mails in an hour.
//	@Tags			auth
//	@Security		BearerAuth
//	@Success		202
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Router			/auth/email/resend [post]
func (a *API) resendVerification(c *gin.Context) error {
	if err := httpx.RejectQuery(c); err != nil {
		return err
	}
	if err := a.users.ResendVerification(c.Request.Context(), auth.PrincipalFrom(c).UserID, clientOf(c)); err != nil {
		return err
	}
	c.Status(http.StatusAccepted)
	return nil
}

// forgotPassword godoc
//
//	@Summary		Request a mail that resets the password
//	@Description	The answer is the same whether there is such an account or not. Nothing is sent when a mail is on its way, or after three mails in an hour.
//	@Tags			auth
//	@Accept			json
//	@Param			body	body	emailRequest	true	"whose password"
//	@Success		202
//	@Failure		422	{object}	problem.Body	"validation_failed"
//	@Router			/auth/password/forgot [post]
func (a *API) forgotPassword(c *gin.Context) error {
	var body emailRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	if err := a.users.RequestPasswordReset(c.Request.Context(), body.Email, clientOf(c)); err != nil {
		return err
	}
	c.Status(http.StatusAccepted)
	return nil
}

// resetPassword godoc
//
//	@Summary		Set a new password with the token of a mail
//	@Description	All sessions end.
//	@Tags			auth
//	@Accept			json
//	@Param			body	body	resetRequest	true	"token and new password"
//	@Success		204
//	@Failure		410	{object}	problem.Body	"token_expired"
//	@Failure		422	{object}	problem.Body	"validation_failed"
//	@Router			/auth/password/reset [post]
func (a *API) resetPassword(c *gin.Context) error {
	var body resetRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	device, err := a.users.ResetPassword(c.Request.Context(), body.Token, body.Password)
	if err != nil {
		return err
	}
	setDeviceCookie(c, device)
	c.Status(http.StatusNoContent)
	return nil
}
