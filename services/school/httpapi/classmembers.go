package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pgo/pkg/etag"
	"pgo/pkg/httpx"
	_ "pgo/pkg/page"    // swag looks for the types that a comment names among its file's imports
	_ "pgo/pkg/problem" // as above
	"pgo/services/school"
)

// classRoleRequest is the body of a request that adds a person to a class or changes their role.
type classRoleRequest struct {
	Role string `json:"role" enums:"teacher,student"`
}

// listClassMembers godoc
//
//	@Summary		List a class's members, by name
//	@Description	For its members and for the school's owners and admins. People whose name is not known yet come first.
//	@Tags			classes
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id		path		string	true	"class id"
//	@Param			role	query		string	false	"role"	Enums(teacher, student)
//	@Param			limit	query		int		false	"1 to 100, default 20"
//	@Param			cursor	query		string	false	"next_cursor of the page before"
//	@Success		200		{object}	page.Page[school.ClassMember]
//	@Failure		401		{object}	problem.Body	"unauthenticated"
//	@Failure		403		{object}	problem.Body	"forbidden"
//	@Failure		404		{object}	problem.Body	"not_found"
//	@Failure		422		{object}	problem.Body	"validation_failed"
//	@Router			/classes/{id}/members [get]
func (a *API) listClassMembers(c *gin.Context) error {
	q, err := httpx.ReadQuery(c, "role", "limit", "cursor")
	if err != nil {
		return err
	}
	id, err := httpx.ParseID(c, "id")
	if err != nil {
		return err
	}
	role, err := httpx.QueryOneOf(q, "role", school.RoleTeacher, school.RoleStudent)
	if err != nil {
		return err
	}
	p, err := parseNamePage(q)
	if err != nil {
		return err
	}
	list, err := a.schools.ListClassMembers(c.Request.Context(), callerOf(c), id, role, p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// putClassMember godoc
//
//	@Summary		Put a member of the school into a class, or change their role in it
//	@Description	For the school's owners and admins and the class's teachers. A student of the school cannot be a class's teacher.
//	@Tags			classes
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			id			path		string				true	"class id"
//	@Param			user_id		path		string				true	"user id"
//	@Param			If-Match	header		string				false	"the entity tag of the version to change"
//	@Param			body		body		classRoleRequest	true	"the role in the class"
//	@Success		200			{object}	school.ClassMember
//	@Success		201			{object}	school.ClassMember
//	@Header			200,201		{string}	ETag			"the membership's version"
//	@Header			201			{string}	Location		"where the membership is"
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		403			{object}	problem.Body	"forbidden"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		409			{object}	problem.Body	"not_a_school_member"
//	@Failure		412			{object}	problem.Body	"precondition_failed"
//	@Failure		422			{object}	problem.Body	"validation_failed"
//	@Router			/classes/{id}/members/{user_id} [put]
func (a *API) putClassMember(c *gin.Context) error {
	id, userID, err := httpx.ReadPathIDs(c, "id", "user_id")
	if err != nil {
		return err
	}
	var body classRoleRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	m, added, err := a.schools.SetClassMember(c.Request.Context(), callerOf(c), id, userID, body.Role, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	status := http.StatusOK
	if added {
		status = http.StatusCreated
		c.Header("Location", c.Request.URL.Path)
	}
	httpx.WriteResource(c, status, m.Version, m)
	return nil
}

// deleteClassMember godoc
//
//	@Summary		Remove a person from a class
//	@Description	For the school's owners and admins and the class's teachers.
//	@Tags			classes
//	@Security		BearerAuth
//	@Param			id			path	string	true	"class id"
//	@Param			user_id		path	string	true	"user id"
//	@Param			If-Match	header	string	false	"the entity tag of the version to end"
//	@Success		204
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Failure		412	{object}	problem.Body	"precondition_failed"
//	@Router			/classes/{id}/members/{user_id} [delete]
func (a *API) deleteClassMember(c *gin.Context) error {
	id, userID, err := httpx.ReadPathIDs(c, "id", "user_id")
	if err != nil {
		return err
	}
	if err := a.schools.RemoveClassMember(c.Request.Context(), callerOf(c), id, userID, etag.ParseIfMatch(c.Request.Header)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
