// Package task is the domain of the Task service: the tasks that teachers set, the submissions of students, and grades.
//
// It knows nothing of HTTP, SQL or AMQP. The small interfaces that it needs are defined here and implemented by the
// adapter in store. Errors that a caller may see are problems. The members of classes are known from School's events
// (package view); this service never sends requests to School.
package task

import (
	"time"
)

// Statuses of a task.
const (
	StatusDraft     = "draft"
	StatusPublished = "published"
	StatusClosed    = "closed"
)

// Roles in a class.
const (
	RoleTeacher = "teacher"
	RoleStudent = "student"
)

// Task is an exercise for the students of a class.
type Task struct {
	ID             string     `json:"id"` // UUIDv7
	ClassID        string     `json:"class_id"`
	Title          string     `json:"title"`
	Description    string     `json:"description"`
	Status         string     `json:"status" enums:"draft,published,closed"`
	MaxScore       int        `json:"max_score"`
	DueAt          time.Time  `json:"due_at"`
	AssignedCount  int        `json:"assigned_count"`  // students who have the task
	SubmittedCount int        `json:"submitted_count"` // of those, who have handed in
	GradedCount    int        `json:"graded_count"`    // of those, who have a grade
	Version        int64      `json:"version"`         // grows with each change by a teacher; If-Match compares it
	Revision       int64      `json:"-"`               // grows with each change of a count or of the statistics
	CreatedBy      string     `json:"created_by"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"` // of the teacher's last change; changes of the counts do not count
	PublishedAt    *time.Time `json:"published_at"`
	ClosedAt       *time.Time `json:"closed_at"`
}

// Summary is a task in a list, without its description, which may be long.
type Summary struct {
	ID             string     `json:"id"` // UUIDv7
	ClassID        string     `json:"class_id"`
	Title          string     `json:"title"`
	Status         string     `json:"status" enums:"draft,published,closed"`
	MaxScore       int        `json:"max_score"`
	DueAt          time.Time  `json:"due_at"`
	AssignedCount  int        `json:"assigned_count"`  // students who have the task
	SubmittedCount int        `json:"submitted_count"` // of those, who have handed in
	GradedCount    int        `json:"graded_count"`    // of those, who have a grade
	Version        int64      `json:"version"`         // grows with each change by a teacher; If-Match compares it
	CreatedBy      string     `json:"created_by"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"` // of the teacher's last change; changes of the counts do not count
	PublishedAt    *time.Time `json:"published_at"`
	ClosedAt       *time.Time `json:"closed_at"`
}

// TaskChange is a task during a change by its teacher, locked in the store, together with the effects of the change. The store
// saves all of them in one transaction, or does nothing if a rule rejects the change.
type TaskChange struct {
	Task Task

	events      []Event
	isChanged   bool
	isDeleted   bool
	isPublished bool
}

// Events returns the events to publish.
func (c *TaskChange) Events() []Event { return c.events }

// IsChanged reports whether the store must save the task's row.
func (c *TaskChange) IsChanged() bool { return c.isChanged }

// IsDeleted reports whether the store must delete the task's row.
func (c *TaskChange) IsDeleted() bool { return c.isDeleted }

// IsPublished reports whether the change publishes the task, so that assignments must be created.
func (c *TaskChange) IsPublished() bool { return c.isPublished }

// publish makes the task visible to its students. It returns ErrAlreadyPublished unless the task is a draft.
func (c *TaskChange) publish(now time.Time) error {
	if c.Task.Status != StatusDraft {
		return ErrAlreadyPublished
	}
	c.Task.Status, c.Task.PublishedAt = StatusPublished, &now
	c.markChanged(now)
	c.isPublished = true
	c.events = append(c.events, Event{Type: EventPublished, Data: newState(c.Task)})
	return nil
}

// close ends submissions, and does nothing if the task is closed. It returns ErrNotPublished if the task is a draft.
func (c *TaskChange) close(now time.Time) error {
	switch c.Task.Status {
	case StatusDraft:
		return ErrNotPublished
	case StatusClosed:
		return nil
	}
	c.Task.Status, c.Task.ClosedAt = StatusClosed, &now
	c.markChanged(now)
	c.events = append(c.events, Event{Type: EventClosed, Data: newState(c.Task)})
	return nil
}

// markDeleted marks a draft for deletion. It returns ErrNotDraft if the task was published.
func (c *TaskChange) markDeleted() error {
	if c.Task.Status != StatusDraft {
		return ErrNotDraft
	}
	c.isDeleted = true
	return nil
}

// applyPatch changes the fields that the patch sets. It returns ErrNotDraft if the patch changes the maximum score of a
// published task, since grades may refer to it.
func (c *TaskChange) applyPatch(p TaskPatch, now time.Time) error {
	if p.MaxScore != nil && *p.MaxScore != c.Task.MaxScore && c.Task.Status != StatusDraft {
		return ErrNotDraft
	}
	changed := setIfChanged(&c.Task.Title, p.Title)
	changed = setIfChanged(&c.Task.Description, p.Description) || changed
	changed = setIfChanged(&c.Task.MaxScore, p.MaxScore) || changed
	if p.DueAt != nil && !p.DueAt.Equal(c.Task.DueAt) {
		c.Task.DueAt, changed = *p.DueAt, true
	}
	if changed {
		c.markChanged(now)
	}
	return nil
}

// setIfChanged sets field to value and reports whether the field changed. A nil value changes nothing.
func setIfChanged[T comparable](field, value *T) bool {
	if value == nil || *value == *field {
		return false
	}
	*field = *value
	return true
}

func (c *TaskChange) markChanged(now time.Time) {
	if !c.isChanged {
		c.Task.Version++
	}
	c.isChanged = true
	c.Task.UpdatedAt = now
}
