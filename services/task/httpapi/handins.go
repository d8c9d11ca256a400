package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"pgo/pkg/httpx"
	"pgo/pkg/page"
	"pgo/pkg/problem"
	"pgo/services/task"
)

// extensionRequest is the body of a request that gives a student a deadline of their own.
type extensionRequest struct {
	DueAt time.Time `json:"due_at" format:"date-time" example:"2030-06-03T12:00:00Z"`
}

// listMyHandIns godoc
//
//	@Summary	List my hand-ins, oldest first
//	@Tags		work
//	@Security	BearerAuth
//	@Produce	json
//	@Param		id		path		string	true	"task id"
//	@Param		limit	query		int		false	"1 to 100, default 20"
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	page.Page[task.HandIn]
//	@Failure	401		{object}	problem.Body	"unauthenticated"
//	@Failure	403		{object}	problem.Body	"forbidden"
//	@Failure	404		{object}	problem.Body	"not_found"
//	@Failure	422		{object}	problem.Body	"validation_failed"
//	@Router		/tasks/{id}/submission/hand-ins [get]
func (a *API) listMyHandIns(c *gin.Context) error {
	id, p, err := readHandInPage(c)
	if err != nil {
		return err
	}
	list, err := a.tasks.ListOwnHandIns(c.Request.Context(), callerID(c), id, p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// getMyHandIn godoc
//
//	@Summary	Get one of my hand-ins
//	@Tags		work
//	@Security	BearerAuth
//	@Produce	json
//	@Param		id		path		string	true	"task id"
//	@Param		number	path		int		true	"the number of the hand-in, from 1"
//	@Success	200		{object}	task.HandInContent
//	@Failure	401		{object}	problem.Body	"unauthenticated"
//	@Failure	403		{object}	problem.Body	"forbidden"
//	@Failure	404		{object}	problem.Body	"not_found"
//	@Router		/tasks/{id}/submission/hand-ins/{number} [get]
func (a *API) getMyHandIn(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	number, err := parseNumber(c)
	if err != nil {
		return err
	}
	h, err := a.tasks.GetOwnHandIn(c.Request.Context(), callerID(c), id, number)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, h)
	return nil
}

// listHandIns godoc
//
//	@Summary	List a student's hand-ins, oldest first
//	@Tags		grading
//	@Security	BearerAuth
//	@Produce	json
//	@Param		id		path		string	true	"task id"
//	@Param		user_id	path		string	true	"the student's id"
//	@Param		limit	query		int		false	"1 to 100, default 20"
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	page.Page[task.HandIn]
//	@Failure	401		{object}	problem.Body	"unauthenticated"
//	@Failure	403		{object}	problem.Body	"forbidden"
//	@Failure	404		{object}	problem.Body	"not_found"
//	@Failure	422		{object}	problem.Body	"validation_failed"
//	@Router		/tasks/{id}/submissions/{user_id}/hand-ins [get]
func (a *API) listHandIns(c *gin.Context) error {
	id, p, err := readHandInPage(c)
	if err != nil {
		return err
	}
	student, err := httpx.ParseID(c, "user_id")
	if err != nil {
		return err
	}
	list, err := a.tasks.ListHandIns(c.Request.Context(), callerID(c), id, student, p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// getHandIn godoc
//
//	@Summary	Get one of a student's hand-ins
//	@Tags		grading
//	@Security	BearerAuth
//	@Produce	json
//	@Param		id		path		string	true	"task id"
//	@Param		user_id	path		string	true	"the student's id"
//	@Param		number	path		int		true	"the number of the hand-in, from 1"
//	@Success	200		{object}	task.HandInContent
//	@Failure	401		{object}	problem.Body	"unauthenticated"
//	@Failure	403		{object}	problem.Body	"forbidden"
//	@Failure	404		{object}	problem.Body	"not_found"
//	@Router		/tasks/{id}/submissions/{user_id}/hand-ins/{number} [get]
func (a *API) getHandIn(c *gin.Context) error {
	id, student, err := httpx.ReadPathIDs(c, "id", "user_id")
	if err != nil {
		return err
	}
	number, err := parseNumber(c)
	if err != nil {
		return err
	}
	h, err := a.tasks.GetHandIn(c.Request.Context(), callerID(c), id, student, number)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, h)
	return nil
}

// putExtension godoc
//
//	@Summary		Give a student a deadline of their own
//	@Description	It must be after the task's due_at. The later of the two is in force, also for what was handed in before.
//	@Tags			grading
//	@Security		BearerAuth
//	@Accept			json
//	@Param			id		path	string				true	"task id"
//	@Param			user_id	path	string				true	"the student's id"
//	@Param			body	body	extensionRequest	true	"the deadline"
//	@Success		204
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Failure		422	{object}	problem.Body	"validation_failed"
//	@Router			/tasks/{id}/extensions/{user_id} [put]
func (a *API) putExtension(c *gin.Context) error {
	id, student, err := httpx.ReadPathIDs(c, "id", "user_id")
	if err != nil {
		return err
	}
	var body extensionRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	return a.setExtension(c, id, student, &body.DueAt)
}

// deleteExtension godoc
//
//	@Summary		Take a student's own deadline back
//	@Description	The task's due_at is in force again, also for what was handed in before.
//	@Tags			grading
//	@Security		BearerAuth
//	@Param			id		path	string	true	"task id"
//	@Param			user_id	path	string	true	"the student's id"
//	@Success		204
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Router			/tasks/{id}/extensions/{user_id} [delete]
func (a *API) deleteExtension(c *gin.Context) error {
	id, student, err := httpx.ReadPathIDs(c, "id", "user_id")
	if err != nil {
		return err
	}
	return a.setExtension(c, id, student, nil)
}

func (a *API) setExtension(c *gin.Context, id, student string, due *time.Time) error {
	if err := a.tasks.SetExtension(c.Request.Context(), callerID(c), id, student, due); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// readHandInPage returns the task's id and the requested page of a list of hand-ins.
func readHandInPage(c *gin.Context) (string, page.Request[task.HandInKey], error) {
	var none page.Request[task.HandInKey]
	q, err := httpx.ReadQuery(c, "limit", "cursor")
	if err != nil {
		return "", none, err
	}
	id, err := httpx.ParseID(c, "id")
	if err != nil {
		return "", none, err
	}
	p, err := parseHandInPage(q)
	return id, p, err
}

func parseHandInPage(q url.Values) (page.Request[task.HandInKey], error) {
	return page.Parse(q, func(k task.HandInKey) bool { return k.Number > 0 })
}

// parseNumber returns the number of a hand-in in the path. It returns not_found if the text is not such a number.
func parseNumber(c *gin.Context) (int, error) {
	n, err := strconv.Atoi(c.Param("number"))
	if err != nil || n < 1 || strconv.Itoa(n) != c.Param("number") {
		return 0, problem.NotFound()
	}
	return n, nil
}
