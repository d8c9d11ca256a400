package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pgo/pkg/httpx"
	"pgo/pkg/page"
	"pgo/pkg/problem"
	"pgo/services/school"
)

// inviteRequest is the body of a request that creates an invite.
type inviteRequest struct {
	Role      string    `json:"role" enums:"admin,teacher,student"`
	MaxUses   int       `json:"max_uses" minimum:"1" maximum:"10000" example:"30"`
	ExpiresAt time.Time `json:"expires_at" format:"date-time" example:"2030-01-01T00:00:00Z"`
}

// createInvite godoc
//
//	@Summary		Create an invite
//	@Description	For owners and admins. Teachers may invite students.
//	@Tags			invites
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			id		path		string			true	"school id"
//	@Param			body	body		inviteRequest	true	"its role, number of uses and expiry"
//	@Success		201		{object}	school.Invite
//	@Header			201		{string}	Location		"where the invite is"
//	@Failure		401		{object}	problem.Body	"unauthenticated"
//	@Failure		403		{object}	problem.Body	"forbidden"
//	@Failure		404		{object}	problem.Body	"not_found"
//	@Failure		422		{object}	problem.Body	"validation_failed"
//	@Router			/schools/{id}/invites [post]
func (a *API) createInvite(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	var body inviteRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	i, err := a.schools.CreateInvite(c.Request.Context(), callerOf(c), id, school.NewInvite(body))
	if err != nil {
		return err
	}
	c.Header("Location", "/api/v1/invites/"+i.Code)
	c.JSON(http.StatusCreated, i)
	return nil
}

// listInvites godoc
//
//	@Summary		List a school's invites, including expired and used-up ones
//	@Description	For owners and admins.
//	@Tags			invites
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id		path		string	true	"school id"
//	@Param			limit	query		int		false	"1 to 100, default 20"
//	@Param			cursor	query		string	false	"next_cursor of the page before"
//	@Success		200		{object}	page.Page[school.Invite]
//	@Failure		401		{object}	problem.Body	"unauthenticated"
//	@Failure		403		{object}	problem.Body	"forbidden"
//	@Failure		404		{object}	problem.Body	"not_found"
//	@Failure		422		{object}	problem.Body	"validation_failed"
//	@Router			/schools/{id}/invites [get]
func (a *API) listInvites(c *gin.Context) error {
	return writeListByID(c, func(id string, _ url.Values, p page.Request[school.IDKey]) (page.Page[school.Invite], error) {
		return a.schools.ListInvites(c.Request.Context(), callerOf(c), id, p)
	})
}

// deleteInvite godoc
//
//	@Summary		Revoke an invite
//	@Description	For owners and admins. People who used it stay members.
//	@Tags			invites
//	@Security		BearerAuth
//	@Param			code	path	string	true	"the invite's code"
//	@Success		204
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Router			/invites/{code} [delete]
func (a *API) deleteInvite(c *gin.Context) error {
	code, err := pathCode(c)
	if err != nil {
		return err
	}
	if err := a.schools.DeleteInvite(c.Request.Context(), callerOf(c), code); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// acceptInvite godoc
//
//	@Summary		Become a member by an invite
//	@Description	An invite ends when the person who made it leaves the school or gets a role that could not make it. Someone who was removed from the school needs an invite that was made afterwards.
//	@Tags			invites
//	@Security		BearerAuth
//	@Produce		json
//	@Param			code	path		string	true	"the invite's code"
//	@Success		201		{object}	school.Member
//	@Header			201		{string}	ETag			"the membership's version"
//	@Header			201		{string}	Location		"where the membership is"
//	@Failure		401		{object}	problem.Body	"unauthenticated"
//	@Failure		403		{object}	problem.Body	"removed_from_school"
//	@Failure		404		{object}	problem.Body	"not_found"
//	@Failure		409		{object}	problem.Body	"already_member"
//	@Failure		410		{object}	problem.Body	"invite_expired, invite_used_up"
//	@Router			/invites/{code}/accept [post]
func (a *API) acceptInvite(c *gin.Context) error {
	code, err := pathCode(c)
	if err != nil {
		return err
	}
	m, err := a.schools.AcceptInvite(c.Request.Context(), callerOf(c), code)
	if err != nil {
		return err
	}
	c.Header("Location", "/api/v1/schools/"+m.SchoolID+"/members/"+m.UserID)
	httpx.WriteResource(c, http.StatusCreated, m.Version, m)
	return nil
}

const (
	minCode   = 16
	maxCode   = 64
	codeBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// pathCode returns the invite code in the path of a request without a query. It returns not_found if the text cannot be
// an invite code.
func pathCode(c *gin.Context) (string, error) {
	if err := httpx.RejectQuery(c); err != nil {
		return "", err
	}
	code := c.Param("code")
	if len(code) < minCode || len(code) > maxCode || strings.Trim(code, codeBytes) != "" {
		return "", problem.NotFound()
	}
	return code, nil
}
