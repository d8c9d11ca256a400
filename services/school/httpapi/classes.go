package httpapi

import (
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"pgo/pkg/etag"
	"pgo/pkg/httpx"
	"pgo/pkg/page"
	_ "pgo/pkg/problem" // swag looks for the types that a comment names among its file's imports
	"pgo/services/school"
)

// newClassRequest is the body of a request that creates a class.
type newClassRequest struct {
	Name  string                 `json:"name" minLength:"1" maxLength:"100" example:"Mathematics 7b"`
	Grade httpx.Optional[string] `json:"grade" swaggertype:"string" maxLength:"20" example:"7"`
}

// patchClassRequest is the body of a request that changes a class.
type patchClassRequest struct {
	Name  httpx.Optional[string] `json:"name" swaggertype:"string" minLength:"1" maxLength:"100"`
	Grade httpx.Optional[string] `json:"grade" swaggertype:"string" maxLength:"20"`
}

// createClass godoc
//
//	@Summary		Create a class
//	@Description	For owners and admins. The grade may be left out.
//	@Tags			classes
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			id		path		string			true	"school id"
//	@Param			body	body		newClassRequest	true	"the class"
//	@Success		201		{object}	school.Class
//	@Header			201		{string}	ETag			"the class's version"
//	@Header			201		{string}	Location		"where the class is"
//	@Failure		401		{object}	problem.Body	"unauthenticated"
//	@Failure		403		{object}	problem.Body	"forbidden"
//	@Failure		404		{object}	problem.Body	"not_found"
//	@Failure		422		{object}	problem.Body	"validation_failed"
//	@Router			/schools/{id}/classes [post]
func (a *API) createClass(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	var body newClassRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	class, err := a.schools.CreateClass(c.Request.Context(), callerOf(c), id, body.Name, body.Grade.Value)
	if err != nil {
		return err
	}
	c.Header("Location", "/api/v1/classes/"+class.ID)
	httpx.WriteResource(c, http.StatusCreated, class.Version, class)
	return nil
}

// listClasses godoc
//
//	@Summary		List a school's classes
//	@Description	For the school's members, and for platform admins while it is ownerless.
//	@Tags			classes
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id			path		string	true	"school id"
//	@Param			archived	query		string	false	"true: those that are archived instead"	Enums(true)
//	@Param			limit		query		int		false	"1 to 100, default 20"
//	@Param			cursor		query		string	false	"next_cursor of the page before"
//	@Success		200			{object}	page.Page[school.Class]
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		422			{object}	problem.Body	"validation_failed"
//	@Router			/schools/{id}/classes [get]
func (a *API) listClasses(c *gin.Context) error {
	return writeListByID(c, func(id string, q url.Values, p page.Request[school.IDKey]) (page.Page[school.Class], error) {
		archived, err := httpx.QueryOneOf(q, "archived", "true")
		if err != nil {
			return page.Page[school.Class]{}, err
		}
		return a.schools.ListClasses(c.Request.Context(), callerOf(c), id, archived != "", p)
	}, "archived")
}

// getClass godoc
//
//	@Summary		Get a class
//	@Description	For the school's members, and for platform admins while it is ownerless.
//	@Tags			classes
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id				path		string	true	"class id"
//	@Param			If-None-Match	header		string	false	"an entity tag: 304 when it is the current one"
//	@Success		200				{object}	school.Class
//	@Header			200				{string}	ETag	"the class's version"
//	@Success		304
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Router			/classes/{id} [get]
func (a *API) getClass(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	class, err := a.schools.GetClass(c.Request.Context(), callerOf(c), id)
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, class.Version, class)
	return nil
}

// patchClass godoc
//
//	@Summary		Change a class
//	@Description	For the school's owners and admins and the class's teachers.
//	@Tags			classes
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			id			path		string				true	"class id"
//	@Param			If-Match	header		string				false	"the entity tag of the version to change"
//	@Param			body		body		patchClassRequest	true	"what changes"
//	@Success		200			{object}	school.Class
//	@Header			200			{string}	ETag			"the class's version"
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		403			{object}	problem.Body	"forbidden"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		412			{object}	problem.Body	"precondition_failed"
//	@Failure		422			{object}	problem.Body	"validation_failed"
//	@Router			/classes/{id} [patch]
func (a *API) patchClass(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	var body patchClassRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	p := school.ClassPatch{Name: body.Name.Pointer(), Grade: body.Grade.Pointer()}
	class, err := a.schools.UpdateClass(c.Request.Context(), callerOf(c), id, p, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, class.Version, class)
	return nil
}

// deleteClass godoc
//
//	@Summary		Archive a class, and delete it 30 days later
//	@Description	For the school's owners and admins. The class's name in the body confirms it. Until it is deleted, the class can be restored, with its tasks and everything that was handed in.
//	@Tags			classes
//	@Security		BearerAuth
//	@Accept			json
//	@Param			id			path	string				true	"class id"
//	@Param			If-Match	header	string				false	"the entity tag of the version to archive"
//	@Param			body		body	confirmationRequest	true	"the class's name"
//	@Success		204
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Failure		412	{object}	problem.Body	"precondition_failed"
//	@Failure		422	{object}	problem.Body	"validation_failed"
//	@Router			/classes/{id} [delete]
func (a *API) deleteClass(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	var body confirmationRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	if err := a.schools.ArchiveClass(c.Request.Context(), callerOf(c), id, body.Name, etag.ParseIfMatch(c.Request.Header)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// restoreClass godoc
//
//	@Summary		Restore an archived class
//	@Description	For the school's owners and admins, within 30 days.
//	@Tags			classes
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id	path		string	true	"class id"
//	@Success		200	{object}	school.Class
//	@Header			200	{string}	ETag			"the class's version"
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Router			/classes/{id}/restore [post]
func (a *API) restoreClass(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	class, err := a.schools.RestoreClass(c.Request.Context(), callerOf(c), id)
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, class.Version, class)
	return nil
}
