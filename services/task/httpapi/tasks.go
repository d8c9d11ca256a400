package httpapi

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"pgo/pkg/etag"
	"pgo/pkg/httpx"
	"pgo/pkg/page"
	"pgo/pkg/problem"
	"pgo/services/task"
)

// createTaskRequest is the body of a request that creates a task.
type createTaskRequest struct {
	ClassID     string    `json:"class_id" format:"uuid"`
	Title       string    `json:"title" minLength:"1" maxLength:"200" example:"Chapter 3"`
	Description string    `json:"description" maxLength:"20000"`
	MaxScore    int       `json:"max_score" minimum:"1" maximum:"1000" example:"20"`
	DueAt       time.Time `json:"due_at" example:"2030-06-01T12:00:00Z"`
}

// patchTaskRequest is the body of a request that changes a task.
type patchTaskRequest struct {
	Title       httpx.Optional[string]    `json:"title" swaggertype:"string" minLength:"1" maxLength:"200"`
	Description httpx.Optional[string]    `json:"description" swaggertype:"string" maxLength:"20000"`
	MaxScore    httpx.Optional[int]       `json:"max_score" swaggertype:"integer" minimum:"1" maximum:"1000"`
	DueAt       httpx.Optional[time.Time] `json:"due_at" swaggertype:"string" format:"date-time"`
}

// createTask godoc
//
//	@Summary	Create a task
//	@Tags		tasks
//	@Security	BearerAuth
//	@Accept		json
//	@Produce	json
//	@Param		body	body		createTaskRequest	true	"the task"
//	@Success	201		{object}	task.Task
//	@Header		201		{string}	ETag			"the task's version and the revision of its counts"
//	@Header		201		{string}	Location		"where the task is"
//	@Failure	401		{object}	problem.Body	"unauthenticated"
//	@Failure	403		{object}	problem.Body	"forbidden: not a teacher of the class"
//	@Failure	404		{object}	problem.Body	"not_found: not in the class"
//	@Failure	422		{object}	problem.Body	"validation_failed"
//	@Router		/tasks [post]
func (a *API) createTask(c *gin.Context) error {
	var body createTaskRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	t, err := a.tasks.CreateTask(c.Request.Context(), callerID(c), task.NewTask(body))
	if err != nil {
		return err
	}
	c.Header("Location", "/api/v1/tasks/"+t.ID)
	httpx.WriteRevision(c, http.StatusCreated, t.Version, t.Revision, t)
	return nil
}

// listTasks godoc
//
//	@Summary		List the tasks that I teach or am assigned
//	@Description	Without their descriptions, which GET /tasks/{id} has.
//	@Tags			tasks
//	@Security		BearerAuth
//	@Produce		json
//	@Param		class_id	query		string	false	"of one class"
//	@Param		status		query		string	false	"status"	Enums(draft, published, closed)
//	@Param		assigned	query		string	false	"me: only what I am assigned"	Enums(me)
//	@Param		due_before	query		string	false	"due before this time (RFC 3339)"
//	@Param		limit		query		int		false	"1 to 100, default 20"
//	@Param		cursor		query		string	false	"next_cursor of the page before"
//	@Success	200			{object}	page.Page[task.Summary]
//	@Failure	401			{object}	problem.Body	"unauthenticated"
//	@Failure	422			{object}	problem.Body	"validation_failed"
//	@Router		/tasks [get]
func (a *API) listTasks(c *gin.Context) error {
	q, err := httpx.ReadQuery(c, "class_id", "status", "assigned", "due_before", "limit", "cursor")
	if err != nil {
		return err
	}
	f, err := parseFilter(q)
	if err != nil {
		return err
	}
	p, err := page.Parse(q, func(k task.TaskKey) bool { return uuid.Validate(k.ID) == nil })
	if err != nil {
		return err
	}
	list, err := a.tasks.ListTasks(c.Request.Context(), callerID(c), f, p)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, list)
	return nil
}

// parseFilter parses the filter of a list of tasks. It returns validation_failed if a value is invalid.
func parseFilter(q url.Values) (task.TaskFilter, error) {
	var f task.TaskFilter
	if f.ClassID = q.Get("class_id"); f.ClassID != "" {
		if id, err := uuid.Parse(f.ClassID); err != nil || id.String() != f.ClassID {
			return f, problem.Invalid(problem.Field{Field: "class_id", Code: "invalid_id", Message: "must be a class's id"})
		}
	}
	var err error
	if f.Status, err = httpx.QueryOneOf(q, "status", task.StatusDraft, task.StatusPublished, task.StatusClosed); err != nil {
		return f, err
	}
	assigned, err := httpx.QueryOneOf(q, "assigned", "me")
	if err != nil {
		return f, err
	}
	f.OnlyAssigned = assigned == "me"
	if due := q.Get("due_before"); due != "" {
		if f.DueBefore, err = httpx.ParseTime(due); err != nil || f.DueBefore.UTC().Year() < 1000 || f.DueBefore.UTC().Year() > 9999 {
			return f, problem.Invalid(problem.Field{Field: "due_before", Code: "invalid_time", Message: "must be a time such as 2030-06-01T12:00:00Z"})
		}
		f.DueBefore = f.DueBefore.UTC()
	}
	return f, nil
}

// getTask godoc
//
//	@Summary	Get a task
//	@Tags		tasks
//	@Security	BearerAuth
//	@Produce	json
//	@Param		id				path		string	true	"task id"
//	@Param		If-None-Match	header		string	false	"an entity tag: 304 when it is the current one"
//	@Success	200				{object}	task.Task
//	@Header		200				{string}	ETag	"the task's version and the revision of its counts"
//	@Success	304
//	@Failure	401	{object}	problem.Body	"unauthenticated"
//	@Failure	404	{object}	problem.Body	"not_found"
//	@Router		/tasks/{id} [get]
func (a *API) getTask(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	t, err := a.tasks.GetTask(c.Request.Context(), callerID(c), id)
	if err != nil {
		return err
	}
	httpx.WriteRevision(c, http.StatusOK, t.Version, t.Revision, t)
	return nil
}

// patchTask godoc
//
//	@Summary		Change a task
//	@Description	The max_score of a published task cannot change: task_not_draft. A new due_at also counts for what was handed in before.
//	@Tags			tasks
//	@Security		BearerAuth
//	@Accept			json
//	@Produce		json
//	@Param			id			path		string				true	"task id"
//	@Param			If-Match	header		string				false	"the entity tag of the version to change; the counts may have changed since"
//	@Param			body		body		patchTaskRequest	true	"what changes"
//	@Success		200			{object}	task.Task
//	@Header			200			{string}	ETag			"the task's version and the revision of its counts"
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		403			{object}	problem.Body	"forbidden"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		409			{object}	problem.Body	"task_not_draft"
//	@Failure		412			{object}	problem.Body	"precondition_failed"
//	@Failure		422			{object}	problem.Body	"validation_failed"
//	@Router			/tasks/{id} [patch]
func (a *API) patchTask(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	var body patchTaskRequest
	if err := httpx.ReadBody(c, &body); err != nil {
		return err
	}
	patch := task.TaskPatch{Title: body.Title.Pointer(), Description: body.Description.Pointer(), MaxScore: body.MaxScore.Pointer(), DueAt: body.DueAt.Pointer()}
	t, err := a.tasks.UpdateTask(c.Request.Context(), callerID(c), id, patch, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	httpx.WriteRevision(c, http.StatusOK, t.Version, t.Revision, t)
	return nil
}

// deleteTask godoc
//
//	@Summary	Delete a draft
//	@Tags		tasks
//	@Security	BearerAuth
//	@Param		id			path	string	true	"task id"
//	@Param		If-Match	header	string	false	"the entity tag of the version to delete"
//	@Success	204
//	@Failure	401	{object}	problem.Body	"unauthenticated"
//	@Failure	403	{object}	problem.Body	"forbidden"
//	@Failure	404	{object}	problem.Body	"not_found"
//	@Failure	409	{object}	problem.Body	"task_not_draft"
//	@Failure	412	{object}	problem.Body	"precondition_failed"
//	@Router		/tasks/{id} [delete]
func (a *API) deleteTask(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	if err := a.tasks.DeleteTask(c.Request.Context(), callerID(c), id, etag.ParseIfMatch(c.Request.Header)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// publishTask godoc
//
//	@Summary		Publish a draft
//	@Description	Every student of the class is assigned the task in the background, also those who join later.
//	@Tags			tasks
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id			path		string	true	"task id"
//	@Param			If-Match	header		string	false	"the entity tag of the version to publish"
//	@Success		202			{object}	task.Task
//	@Header			202			{string}	ETag			"the task's version and the revision of its counts"
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		403			{object}	problem.Body	"forbidden"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		409			{object}	problem.Body	"already_published"
//	@Failure		412			{object}	problem.Body	"precondition_failed"
//	@Router			/tasks/{id}/publish [post]
func (a *API) publishTask(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	t, err := a.tasks.PublishTask(c.Request.Context(), callerID(c), id, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	httpx.WriteRevision(c, http.StatusAccepted, t.Version, t.Revision, t)
	return nil
}

// closeTask godoc
//
//	@Summary		Close a task
//	@Description	A closed task takes no more submissions. What was handed in can be graded. Closing it again changes nothing.
//	@Tags			tasks
//	@Security		BearerAuth
//	@Produce		json
//	@Param			id			path		string	true	"task id"
//	@Param			If-Match	header		string	false	"the entity tag of the version to close"
//	@Success		200			{object}	task.Task
//	@Header			200			{string}	ETag			"the task's version and the revision of its counts"
//	@Failure		401			{object}	problem.Body	"unauthenticated"
//	@Failure		403			{object}	problem.Body	"forbidden"
//	@Failure		404			{object}	problem.Body	"not_found"
//	@Failure		409			{object}	problem.Body	"task_not_published"
//	@Failure		412			{object}	problem.Body	"precondition_failed"
//	@Router			/tasks/{id}/close [post]
func (a *API) closeTask(c *gin.Context) error {
	id, err := httpx.ReadPathID(c, "id")
	if err != nil {
		return err
	}
	t, err := a.tasks.CloseTask(c.Request.Context(), callerID(c), id, etag.ParseIfMatch(c.Request.Header))
	if err != nil {
		return err
	}
	httpx.WriteRevision(c, http.StatusOK, t.Version, t.Revision, t)
	return nil
}
