package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
	"pgo/pkg/page"
	"pgo/services/user"
)

// refreshRequest is the body of a request for new tokens.
type refreshRequest struct {
	RefreshToken string `json:"refresh_token"`
}

// registerUser godoc
//
//	@Summary	Sign up
//	@Tags		auth
//	@Accept		json
//	@Produce	json
//	@Param		body	body		user.Registration	true	"who signs up"
//	@Success	201		{object}	user.User
//	@Header		201		{string}	ETag		"the user's version"
//	@Header		201		{string}	Location	"where the user is"
//	@Failure	409		{object}	problem.Body	"email_taken"
//	@Failure	422		{object}	problem.Body	"validation_failed"
//	@Failure	429		{object}	problem.Body	"too_many_sign_ups"
//	@Header		429		{integer}	Retry-After		"seconds"
//	@Failure	503		{object}	problem.Body	"busy"
//	@Header		503		{integer}	Retry-After		"seconds"
//	@Router		/auth/register [post]
func (a *API) registerUser(c *gin.Context) error {
	var body user.Registration
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	if body.Language == "" {
		body.Language = user.MatchLanguage(c.GetHeader("Accept-Language"))
	}
	u, err := a.users.Register(c.Request.Context(), body, clientOf(c))
	if err != nil {
		return err
	}
	c.Header("Location", "/api/v1/users/"+u.ID)
	httpx.WriteResource(c, http.StatusCreated, u.Version, u)
	return nil
}

// logIn godoc
//
//	@Summary		Sign in
//	@Description	The answer makes the device known, by device_token and by the cookie pgo_device. Send either of them at the next sign-in: failures of other people on the account then do not limit it.
//	@Tags			auth
//	@Accept			json
//	@Produce		json
//	@Param			body	body		user.Credentials	true	"who signs in"
//	@Success	200		{object}	user.Tokens
//	@Failure	401		{object}	problem.Body	"invalid_credentials"
//	@Failure	403		{object}	problem.Body	"user_disabled"
//	@Failure	429		{object}	problem.Body	"too_many_attempts"
//	@Header		429		{integer}	Retry-After	"seconds"
//	@Failure	503		{object}	problem.Body	"busy"
//	@Header		503		{integer}	Retry-After	"seconds"
//	@Router		/auth/login [post]
func (a *API) logIn(c *gin.Context) error {
	var body user.Credentials
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	body.DeviceToken = readDeviceToken(c, body.DeviceToken)
	t, err := a.users.Login(c.Request.Context(), body, clientOf(c))
	if err != nil {
		return err
	}
	setDeviceCookie(c, t.DeviceToken)
	c.JSON(http.StatusOK, t)
	return nil
}

// refreshTokens godoc
//
//	@Summary		Get a new pair of tokens
//	@Description	The old refresh token is spent. The same client (by its User-Agent) gets the same pair again for 10 seconds, until the new refresh token is used. Any other use of a spent token ends its session.
//	@Tags			auth
//	@Accept			json
//	@Produce		json
//	@Param			body	body		refreshRequest	true	"the refresh token"
//	@Success		200		{object}	user.Tokens
//	@Failure		401		{object}	problem.Body	"invalid_refresh_token"
//	@Router			/auth/refresh [post]
func (a *API) refreshTokens(c *gin.Context) error {
	var body refreshRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	t, err := a.users.Refresh(c.Request.Context(), body.RefreshToken, clientOf(c))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, t)
	return nil
}

// logOut godoc
//
//	@Summary	Sign out
//	@Tags		auth
//	@Security	BearerAuth
//	@Success	204
//	@Failure	401	{object}	problem.Body	"unauthenticated"
//	@Router		/auth/logout [post]
func (a *API) logOut(c *gin.Context) error {
	if err := httpx.RejectQuery(c); err != nil {
		return err
	}
	p := auth.PrincipalFrom(c)
	if err := a.users.Logout(c.Request.Context(), p.UserID, p.SessionID); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// listSessions godoc
//
//	@Summary	List my open sessions
//	@Tags		auth
//	@Security	BearerAuth
//	@Produce	json
//	@Param		limit	query		int		false	"1 to 100, default 20"
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	page.Page[user.Session]
//	@Failure	401		{object}	problem.Body	"unauthenticated"
//	@Failure	422		{object}	problem.Body	"validation_failed"
//	@Router		/auth/sessions [get]
func (a *API) listSessions(c *gin.Context) error {
	q, err := httpx.ReadQuery(c, "limit", "cursor")
	if err != nil {
		return err
	}
	p, err := parsePage(q)
	if err != nil {
		return err
	}
	who := auth.PrincipalFrom(c)
	list, err := a.users.ListSessions(c.Request.Context(), who.UserID, who.SessionID, p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// endSession godoc
//
//	@Summary	End one of my sessions
//	@Tags		auth
//	@Security	BearerAuth
//	@Param		id	path	string	true	"session id"
//	@Success	204
//	@Failure	401	{object}	problem.Body	"unauthenticated"
//	@Failure	404	{object}	problem.Body	"not_found"
//	@Router		/auth/sessions/{id} [delete]
func (a *API) endSession(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	if err := a.users.EndSession(c.Request.Context(), auth.PrincipalFrom(c).UserID, id); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// parsePage parses the requested page of a list.
func parsePage(q url.Values) (page.Request[user.ListKey], error) {
	return page.Parse(q, func(k user.ListKey) bool { return uuid.Validate(k.ID) == nil })
}

const maxUserAgent = 255 // characters that are stored

// clientOf returns the request's client, with a user agent cut to the length that is stored.
func clientOf(c *gin.Context) user.Client {
	agent := strings.ToValidUTF8(c.Request.UserAgent(), "?")
	if utf8.RuneCountInString(agent) > maxUserAgent {
		agent = string([]rune(agent)[:maxUserAgent])
	}
	return user.Client{IP: c.ClientIP(), UserAgent: agent}
}
