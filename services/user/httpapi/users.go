package httpapi

import (
	"net/http"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"pgo/pkg/etag"
	"pgo/pkg/httpx"
	_ "pgo/pkg/page" // swag looks for the types that a comment names among its file's imports
	"pgo/pkg/problem"
	"pgo/services/user"
)

// patchUserRequest is the body of a request with which an admin changes a user.
type patchUserRequest struct {
	Name   httpx.Optional[string] `json:"name" swaggertype:"string" minLength:"1" maxLength:"100"`
	Role   httpx.Optional[string] `json:"role" swaggertype:"string" enums:"user,admin"`
	Status httpx.Optional[string] `json:"status" swaggertype:"string" enums:"active,disabled"`
}

const maxSearch = 254 // characters

// listUsers godoc
//
//	@Summary	List users
//	@Tags		users
//	@Security	BearerAuth
//	@Produce	json
//	@Param		q		query		string	false	"the start of a name or an e-mail address"
//	@Param		role	query		string	false	"role"		Enums(user, admin)
//	@Param		status	query		string	false	"status"	Enums(active, disabled)
//	@Param		limit	query		int		false	"1 to 100, default 20"
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	page.Page[user.User]
//	@Failure	401		{object}	problem.Body	"unauthenticated"
//	@Failure	403		{object}	problem.Body	"forbidden"
//	@Failure	422		{object}	problem.Body	"validation_failed"
//	@Router		/users [get]
func (a *API) listUsers(c *gin.Context) error {
	q, err := httpx.ReadQuery(c, "q", "role", "status", "limit", "cursor")
	if err != nil {
		return err
	}
	f := user.UserFilter{Query: q.Get("q")}
	if utf8.RuneCountInString(f.Query) > maxSearch {
		return problem.Invalid(problem.Field{Field: "q", Code: "invalid_length", Message: "must have at most 254 characters"})
	}
	if f.Role, err = httpx.QueryOneOf(q, "role", user.RoleUser, user.RoleAdmin); err != nil {
		return err
	}
	if f.Status, err = httpx.QueryOneOf(q, "status", user.StatusActive, user.StatusDisabled); err != nil {
		return err
	}
	p, err := parsePage(q)
	if err != nil {
		return err
	}
	list, err := a.users.ListUsers(c.Request.Context(), f, p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// getUser godoc
//
//	@Summary	Get a user
//	@Tags		users
//	@Security	BearerAuth
//	@Produce	json
//	@Param		id				path		string	true	"user id"
//	@Param		If-None-Match	header		string	false	"an entity tag: 304 when it is the current one"
//	@Success	200				{object}	user.User
//	@Header		200				{string}	ETag	"the user's version"
//	@Success	304
//	@Failure	401	{object}	problem.Body	"unauthenticated"
//	@Failure	403	{object}	problem.Body	"forbidden"
//	@Failure	404	{object}	problem.Body	"not_found"
//	@Router		/users/{id} [get]
func (a *API) getUser(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	u, err := a.users.GetUser(c.Request.Context(), id)
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, u.Version, u)
	return nil
}

// patchUser godoc
//
//	@Summary		Change a user
//	@Description	A new role and disabling the account end all of the user's sessions.
//	@Tags			users
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			id			path		string				true	"user id"
//	@Param			If-Match	header		string				false	"the entity tag of the version to change"
//	@Param			body		body		patchUserRequest	true	"what changes"
//	@Success		200			{object}	user.User
//	@Header			200			{string}	ETag			"the user's version"
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		403			{object}	problem.Body	"forbidden"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		409			{object}	problem.Body	"last_admin"
//	@Failure		412			{object}	problem.Body	"precondition_failed"
//	@Failure		422			{object}	problem.Body	"validation_failed"
//	@Router			/users/{id} [patch]
func (a *API) patchUser(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	var body patchUserRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	u, err := a.users.UpdateUser(c.Request.Context(), id, user.UserPatch{Name: body.Name.Pointer(), Role: body.Role.Pointer(), Status: body.Status.Pointer()}, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, u.Version, u)
	return nil
}

// deleteUser godoc
//
//	@Summary	Delete a user
//	@Tags		users
//	@Security	BearerAuth
//	@Param		id			path	string	true	"user id"
//	@Param		If-Match	header	string	false	"the entity tag of the version to delete"
//	@Success	204
//	@Failure	401	{object}	problem.Body	"unauthenticated"
//	@Failure	403	{object}	problem.Body	"forbidden"
//	@Failure	404	{object}	problem.Body	"not_found"
//	@Failure	409	{object}	problem.Body	"last_admin"
//	@Failure	412	{object}	problem.Body	"precondition_failed"
//	@Router		/users/{id} [delete]
func (a *API) deleteUser(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	if err := a.users.DeleteUser(c.Request.Context(), id, etag.ParseIfMatch(c.Request.Header)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
