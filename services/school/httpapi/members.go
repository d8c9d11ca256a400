package httpapi

import (
	"net/http"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"pgo/pkg/etag"
	"pgo/pkg/httpx"
	_ "pgo/pkg/page" // swag looks for the types that a comment names among its file's imports
	"pgo/pkg/problem"
	"pgo/services/school"
)

// roleRequest is the body of a request that changes the role of a school's member.
type roleRequest struct {
	Role string `json:"role" enums:"owner,admin,teacher,student"`
}

// listMembers godoc
//
//	@Summary		List a school's members, by name
//	@Description	For the school's members, and for platform admins while it is ownerless. People whose name is not known yet come first.
//	@Tags			members
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id		path		string	true	"school id"
//	@Param			role	query		string	false	"role"	Enums(owner, admin, teacher, student)
//	@Param			q		query		string	false	"the start of a name"
//	@Param			limit	query		int		false	"1 to 100, default 20"
//	@Param			cursor	query		string	false	"next_cursor of the page before"
//	@Success		200		{object}	page.Page[school.Member]
//	@Failure		401		{object}	problem.Body	"unauthenticated"
//	@Failure		404		{object}	problem.Body	"not_found"
//	@Failure		422		{object}	problem.Body	"validation_failed"
//	@Router			/schools/{id}/members [get]
func (a *API) listMembers(c *gin.Context) error {
	q, err := httpx.ReadQuery(c, "role", "q", "limit", "cursor")
	if err != nil {
		return err
	}
	id, err := httpx.ParseID(c, "id")
	if err != nil {
		return err
	}
	f := school.MemberFilter{Query: q.Get("q")}
	if utf8.RuneCountInString(f.Query) > maxName {
		return problem.Invalid(problem.Field{Field: "q", Code: "invalid_length", Message: "must have at most 100 characters"})
	}
	if f.Role, err = httpx.QueryOneOf(q, "role", school.RoleOwner, school.RoleAdmin, school.RoleTeacher, school.RoleStudent); err != nil {
		return err
	}
	p, err := parseNamePage(q)
	if err != nil {
		return err
	}
	list, err := a.schools.ListMembers(c.Request.Context(), callerOf(c), id, f, p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// patchMember godoc
//
//	@Summary		Change a member's role
//	@Description	Owners may give any member any role. Admins may give members who are not owners any role but owner. Platform admins may do what owners may while the school is ownerless. A member who becomes a student no longer teaches classes. Invites that the member made and could not make in the new role are revoked.
//	@Tags			members
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			id			path		string		true	"school id"
//	@Param			user_id		path		string		true	"user id"
//	@Param			If-Match	header		string		false	"the entity tag of the membership's version to change"
//	@Param			body		body		roleRequest	true	"the new role"
//	@Success		200			{object}	school.Member
//	@Header			200			{string}	ETag			"the membership's version"
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		403			{object}	problem.Body	"forbidden"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		409			{object}	problem.Body	"last_owner"
//	@Failure		412			{object}	problem.Body	"precondition_failed"
//	@Failure		422			{object}	problem.Body	"validation_failed"
//	@Router			/schools/{id}/members/{user_id} [patch]
func (a *API) patchMember(c *gin.Context) error {
	id, userID, err := httpx.ReadPathIDs(c, "id", "user_id")
	if err != nil {
		return err
	}
	var body roleRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	m, err := a.schools.SetMemberRole(c.Request.Context(), callerOf(c), id, userID, body.Role, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, m.Version, m)
	return nil
}

// deleteMember godoc
//
//	@Summary		Remove a member from a school and its classes, or leave it
//	@Description	Owners may remove any member, admins those who are not owners. Every member may leave. The invites that the member made are revoked. Someone who was removed by another person can come back only by an invite that is made afterwards.
//	@Tags			members
//	@Security		BearerAuth
//	@Param			id			path	string	true	"school id"
//	@Param			user_id		path	string	true	"user id"
//	@Param			If-Match	header	string	false	"the entity tag of the membership's version to end"
//	@Success		204
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Failure		409	{object}	problem.Body	"last_owner"
//	@Failure		412	{object}	problem.Body	"precondition_failed"
//	@Router			/schools/{id}/members/{user_id} [delete]
func (a *API) deleteMember(c *gin.Context) error {
	id, userID, err := httpx.ReadPathIDs(c, "id", "user_id")
	if err != nil {
		return err
	}
	if err := a.schools.RemoveMember(c.Request.Context(), callerOf(c), id, userID, etag.ParseIfMatch(c.Request.Header)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
