package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pgo/pkg/etag"
	"pgo/pkg/httpx"
	_ "pgo/pkg/page"    // swag looks for the types that a comment names among its file's imports
	_ "pgo/pkg/problem" // the same
	"pgo/services/task"
)

// submissionRequest is the body of a request that saves a submission.
type submissionRequest struct {
	Content httpx.Optional[string] `json:"content" swaggertype:"string" maxLength:"65536"`
	Draft   httpx.Optional[bool]   `json:"draft" swaggertype:"boolean"`
}

// gradeRequest is the body of a request that grades a submission.
type gradeRequest struct {
	Score    httpx.Optional[int]    `json:"score" swaggertype:"integer" minimum:"0" maximum:"1000"`
	Feedback httpx.Optional[string] `json:"feedback" swaggertype:"string" maxLength:"10000"`
}

// putSubmission godoc
//
//	@Summary		Hand in, or save a draft
//	@Description	One can hand in again until the task is closed or graded; every hand-in is kept. The last one by the deadline counts, or the last one if all are late. Content that is missing leaves a draft alone: with draft false the saved draft is handed in. The content has at most 64 KiB.
//	@Tags			work
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			id			path		string				true	"task id"
//	@Param			If-Match	header		string				false	"the entity tag of the submission to replace"
//	@Param			body		body		submissionRequest	true	"the work"
//	@Success		200			{object}	task.Submission
//	@Header			200			{string}	ETag			"the submission's version and its deadline"
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		403			{object}	problem.Body	"forbidden"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		409			{object}	problem.Body	"task_closed, already_submitted, already_graded, too_many_hand_ins"
//	@Failure		412			{object}	problem.Body	"precondition_failed"
//	@Failure		422			{object}	problem.Body	"validation_failed"
//	@Router			/tasks/{id}/submission [put]
func (a *API) putSubmission(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	var body submissionRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	sub, err := a.tasks.HandIn(c.Request.Context(), callerID(c), id, task.SubmissionInput{Content: body.Content.Pointer(), IsDraft: body.Draft.Pointer()}, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	httpx.WriteRevision(c, http.StatusOK, sub.Version, sub.DueAt.UnixMicro(), sub)
	return nil
}

// getMySubmission godoc
//
//	@Summary		Get my submission: the draft, or my last hand-in
//	@Description	Someone who has handed in and then moved to another class of the school, or became a teacher, may still read it.
//	@Tags			work
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id				path		string	true	"task id"
//	@Param			If-None-Match	header		string	false	"an entity tag: 304 when it is the current one"
//	@Success		200				{object}	task.Submission
//	@Header			200				{string}	ETag	"the submission's version and its deadline"
//	@Success		304
//	@Failure		401	{object}	problem.Body	"unauthenticated"
//	@Failure		403	{object}	problem.Body	"forbidden"
//	@Failure		404	{object}	problem.Body	"not_found"
//	@Router			/tasks/{id}/submission [get]
func (a *API) getMySubmission(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	sub, err := a.tasks.GetOwnSubmission(c.Request.Context(), callerID(c), id)
	if err != nil {
		return err
	}
	httpx.WriteRevision(c, http.StatusOK, sub.Version, sub.DueAt.UnixMicro(), sub)
	return nil
}

// listAssignments godoc
//
//	@Summary	List a task's assignments
//	@Tags		grading
//	@Security	BearerAuth
//	@Produce	json
//	@Param		id		path		string	true	"task id"
//	@Param		status	query		string	false	"status"	Enums(assigned, submitted, graded)
//	@Param		limit	query		int		false	"1 to 100, default 20"
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	page.Page[task.Assignment]
//	@Failure	401		{object}	problem.Body	"unauthenticated"
//	@Failure	403		{object}	problem.Body	"forbidden"
//	@Failure	404		{object}	problem.Body	"not_found"
//	@Failure	422		{object}	problem.Body	"validation_failed"
//	@Router		/tasks/{id}/assignments [get]
func (a *API) listAssignments(c *gin.Context) error {
	q, err := httpx.ReadQuery(c, "status", "limit", "cursor")
	if err != nil {
		return err
	}
	id, err := httpx.ParseID(c, "id")
	if err != nil {
		return err
	}
	status, err := httpx.QueryOneOf(q, "status", task.SubmissionAssigned, task.SubmissionSubmitted, task.SubmissionGraded)
	if err != nil {
		return err
	}
	p, err := parseUserPage(q)
	if err != nil {
		return err
	}
	list, err := a.tasks.ListAssignments(c.Request.Context(), callerID(c), id, status, p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// listSubmissions godoc
//
//	@Summary	List what was handed in for a task
//	@Tags		grading
//	@Security	BearerAuth
//	@Produce	json
//	@Param		id		path		string	true	"task id"
//	@Param		limit	query		int		false	"1 to 100, default 20"
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	page.Page[task.NamedSubmission]
//	@Failure	401		{object}	problem.Body	"unauthenticated"
//	@Failure	403		{object}	problem.Body	"forbidden"
//	@Failure	404		{object}	problem.Body	"not_found"
//	@Failure	422		{object}	problem.Body	"validation_failed"
//	@Router		/tasks/{id}/submissions [get]
func (a *API) listSubmissions(c *gin.Context) error {
	q, err := httpx.ReadQuery(c, "limit", "cursor")
	if err != nil {
		return err
	}
	id, err := httpx.ParseID(c, "id")
	if err != nil {
		return err
	}
	p, err := parseUserPage(q)
	if err != nil {
		return err
	}
	list, err := a.tasks.ListSubmissions(c.Request.Context(), callerID(c), id, p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// getSubmission godoc
//
//	@Summary	Get a student's submission: the hand-in that counts
//	@Tags		grading
//	@Security	BearerAuth
//	@Produce	json
//	@Param		id				path		string	true	"task id"
//	@Param		user_id			path		string	true	"the student's id"
//	@Param		If-None-Match	header		string	false	"an entity tag: 304 when it is the current one"
//	@Success	200				{object}	task.Submission
//	@Header		200				{string}	ETag	"the submission's version and its deadline"
//	@Success	304
//	@Failure	401	{object}	problem.Body	"unauthenticated"
//	@Failure	403	{object}	problem.Body	"forbidden"
//	@Failure	404	{object}	problem.Body	"not_found"
//	@Router		/tasks/{id}/submissions/{user_id} [get]
func (a *API) getSubmission(c *gin.Context) error {
	id, student, err := httpx.ReadPathIDs(c, "id", "user_id")
	if err != nil {
		return err
	}
	sub, err := a.tasks.GetSubmission(c.Request.Context(), callerID(c), id, student)
	if err != nil {
		return err
	}
	httpx.WriteRevision(c, http.StatusOK, sub.Version, sub.DueAt.UnixMicro(), sub)
	return nil
}

// putGrade godoc
//
//	@Summary		Grade a student's submission
//	@Description	A grade can be given again. It is for the hand-in that counts when it is first given. Feedback that is missing leaves the former feedback alone. No one grades their own work: a student who became a teacher gets 403. The score is at most the task's max_score.
//	@Tags			grading
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			id			path		string			true	"task id"
//	@Param			user_id		path		string			true	"the student's id"
//	@Param			If-Match	header		string			false	"the entity tag of the submission to grade"
//	@Param			body		body		gradeRequest	true	"the grade"
//	@Success		200			{object}	task.Submission
//	@Header			200			{string}	ETag			"the submission's version and its deadline"
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		403			{object}	problem.Body	"forbidden"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		409			{object}	problem.Body	"not_submitted"
//	@Failure		412			{object}	problem.Body	"precondition_failed"
//	@Failure		422			{object}	problem.Body	"validation_failed"
//	@Router			/tasks/{id}/submissions/{user_id}/grade [put]
func (a *API) putGrade(c *gin.Context) error {
	id, student, err := httpx.ReadPathIDs(c, "id", "user_id")
	if err != nil {
		return err
	}
	var body gradeRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	g := task.GradeInput{Score: body.Score.Pointer(), Feedback: body.Feedback.Pointer()}
	sub, err := a.tasks.GradeSubmission(c.Request.Context(), callerID(c), id, student, g, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	httpx.WriteRevision(c, http.StatusOK, sub.Version, sub.DueAt.UnixMicro(), sub)
	return nil
}

// getStats godoc
//
//	@Summary	Get a task's statistics
//	@Tags		grading
//	@Security	BearerAuth
//	@Produce	json
//	@Param		id				path		string	true	"task id"
//	@Param		If-None-Match	header		string	false	"an entity tag: 304 when it is the current one"
//	@Success	200				{object}	task.Stats
//	@Header		200				{string}	ETag	"changes with each figure"
//	@Success	304
//	@Failure	401	{object}	problem.Body	"unauthenticated"
//	@Failure	403	{object}	problem.Body	"forbidden"
//	@Failure	404	{object}	problem.Body	"not_found"
//	@Router		/tasks/{id}/stats [get]
func (a *API) getStats(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	stats, t, err := a.tasks.GetStats(c.Request.Context(), callerID(c), id)
	if err != nil {
		return err
	}
	httpx.WriteRevision(c, http.StatusOK, t.Version, t.Revision, stats)
	return nil
}
