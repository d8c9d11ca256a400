package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pgo/pkg/etag"
	"pgo/pkg/httpx"
	_ "pgo/pkg/page" // swag looks for the types that a comment names among its file's imports
	_ "pgo/pkg/problem"
	"pgo/services/school"
)

// newSchoolRequest is the body of a request that creates a school.
type newSchoolRequest struct {
	Name     string `json:"name" minLength:"1" maxLength:"100" example:"Lakeside School"`
	Timezone string `json:"timezone" example:"Europe/Berlin"`
}

// patchSchoolRequest is the body of a request that changes a school.
type patchSchoolRequest struct {
	Name     httpx.Optional[string] `json:"name" swaggertype:"string" minLength:"1" maxLength:"100"`
	Timezone httpx.Optional[string] `json:"timezone" swaggertype:"string" example:"Europe/Berlin"`
}

// confirmationRequest is the body of a request that archives a school or class.
type confirmationRequest struct {
	Name string `json:"name" minLength:"1" maxLength:"100" example:"Lakeside School"`
}

// createSchool godoc
//
//	@Summary		Create a school
//	@Description	The caller becomes its owner.
//	@Tags			schools
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			body	body		newSchoolRequest	true	"the school"
//	@Success		201		{object}	school.School
//	@Header			201		{string}	ETag			"the school's version"
//	@Header			201		{string}	Location		"where the school is"
//	@Failure		401		{object}	problem.Body	"unauthenticated"
//	@Failure		422		{object}	problem.Body	"validation_failed"
//	@Router			/schools [post]
func (a *API) createSchool(c *gin.Context) error {
	var body newSchoolRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	s, err := a.schools.CreateSchool(c.Request.Context(), callerOf(c), body.Name, body.Timezone)
	if err != nil {
		return err
	}
	c.Header("Location", "/api/v1/schools/"+s.ID)
	httpx.WriteResource(c, http.StatusCreated, s.Version, s)
	return nil
}

// listSchools godoc
//
//	@Summary	List my schools, with my role in each
//	@Tags		schools
//	@Security	BearerAuth
//	@Produce	json
//	@Param		archived	query		string	false	"true: those that are archived instead"	Enums(true)
//	@Param		limit		query		int		false	"1 to 100, default 20"
//	@Param		cursor		query		string	false	"next_cursor of the page before"
//	@Success	200			{object}	page.Page[school.SchoolWithRole]
//	@Failure	401			{object}	problem.Body	"unauthenticated"
//	@Failure	422			{object}	problem.Body	"validation_failed"
//	@Router		/schools [get]
func (a *API) listSchools(c *gin.Context) error {
	q, err := httpx.ReadQuery(c, "archived", "limit", "cursor")
	if err != nil {
		return err
	}
	archived, err := httpx.QueryOneOf(q, "archived", "true")
	if err != nil {
		return err
	}
	p, err := parseIDPage(q)
	if err != nil {
		return err
	}
	list, err := a.schools.ListSchools(c.Request.Context(), callerOf(c), archived != "", p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// getSchool godoc
//
//	@Summary		Get a school
//	@Description	For its members. Platform admins may see an ownerless school.
//	@Tags			schools
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id				path		string	true	"school id"
//	@Param			If-None-Match	header		string	false	"an entity tag: 304 when it is the current one"
//	@Success		200				{object}	school.School
//	@Header			200				{string}	ETag	"the school's version"
//	@Success		304
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Router			/schools/{id} [get]
func (a *API) getSchool(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	s, err := a.schools.GetSchool(c.Request.Context(), callerOf(c), id)
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, s.Version, s)
	return nil
}

// patchSchool godoc
//
//	@Summary		Change a school
//	@Description	For owners and admins.
//	@Tags			schools
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			id			path		string				true	"school id"
//	@Param			If-Match	header		string				false	"the entity tag of the version to change"
//	@Param			body		body		patchSchoolRequest	true	"what changes"
//	@Success		200			{object}	school.School
//	@Header			200			{string}	ETag			"the school's version"
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		403			{object}	problem.Body	"forbidden"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		412			{object}	problem.Body	"precondition_failed"
//	@Failure		422			{object}	problem.Body	"validation_failed"
//	@Router			/schools/{id} [patch]
func (a *API) patchSchool(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	var body patchSchoolRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	p := school.SchoolPatch{Name: body.Name.Pointer(), Timezone: body.Timezone.Pointer()}
	s, err := a.schools.UpdateSchool(c.Request.Context(), callerOf(c), id, p, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, s.Version, s)
	return nil
}

// deleteSchool godoc
//
//	@Summary		Archive a school with its classes, and delete it 30 days later
//	@Description	For owners. Platform admins may archive an ownerless school. The school's name in the body confirms it. Until it is deleted, the school can be restored.
//	@Tags			schools
//	@Security		BearerAuth
//	@Accept			json
//	@Param			id			path	string				true	"school id"
//	@Param			If-Match	header	string				false	"the entity tag of the version to archive"
//	@Param			body		body	confirmationRequest	true	"the school's name"
//	@Success		204
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Failure		412	{object}	problem.Body	"precondition_failed"
//	@Failure		422	{object}	problem.Body	"validation_failed"
//	@Router			/schools/{id} [delete]
func (a *API) deleteSchool(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	var body confirmationRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	if err := a.schools.ArchiveSchool(c.Request.Context(), callerOf(c), id, body.Name, etag.ParseIfMatch(c.Request.Header)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// restoreSchool godoc
//
//	@Summary		Restore an archived school
//	@Description	For owners, within 30 days. Platform admins may restore an ownerless school.
//	@Tags			schools
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id	path		string	true	"school id"
//	@Success		200	{object}	school.School
//	@Header			200	{string}	ETag			"the school's version"
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Router			/schools/{id}/restore [post]
func (a *API) restoreSchool(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	s, err := a.schools.RestoreSchool(c.Request.Context(), callerOf(c), id)
	if err != nil {
		return err
	}
	httpx.WriteResource(c, http.StatusOK, s.Version, s)
	return nil
}
