// Package task is the domain of the Task service: what teachers set, what students hand in, and how it is graded.
//
// It knows nothing of HTTP, SQL or AMQP. What it needs of them is said in small interfaces here, which the
// adapter in store implements. Errors that a caller may see are problems. Who is in which class is known from
// School's events (package view), never by asking School.
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

// Task is something that the students of a class are to do.
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
	Version        int64      `json:"version"`         // grows with each change, also of a count; the entity tag
	CreatedBy      string     `json:"created_by"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"` // of what the teacher says, not of the counts
	PublishedAt    *time.Time `json:"published_at"`
	ClosedAt       *time.Time `json:"closed_at"`
}

// TaskChange is a task that is locked in the store for a change by its teacher, with what must happen in the same
// transaction; nothing of it happens when a rule fails.
type TaskChange struct {
	Task

	events      []Event
	isChanged   bool
	isDeleted   bool
	isPublished bool
}

// Events returns what to publish.
func (d *TaskChange) Events() []Event { return d.events }

// IsChanged reports whether the task's row must be saved.
func (d *TaskChange) IsChanged() bool { return d.isChanged }

// IsDeleted reports whether the task's row must be removed.
func (d *TaskChange) IsDeleted() bool { return d.isDeleted }

// IsPublished reports whether assignments must be made from now on.
func (d *TaskChange) IsPublished() bool { return d.isPublished }

// publish makes the task visible to its students. ErrAlreadyPublished.
func (d *TaskChange) publish(now time.Time) error {
	if d.Status != StatusDraft {
		return ErrAlreadyPublished
	}
	d.Status, d.PublishedAt = StatusPublished, &now
	d.markChanged(now)
	d.isPublished = true
	d.events = append(d.events, Event{Type: EventPublished, Data: newState(d.Task)})
	return nil
}

// close ends submissions; closing twice is no error. ErrNotPublished.
func (d *TaskChange) close(now time.Time) error {
	switch d.Status {
	case StatusDraft:
		return ErrNotPublished
	case StatusClosed:
		return nil
	}
	d.Status, d.ClosedAt = StatusClosed, &now
	d.markChanged(now)
	d.events = append(d.events, Event{Type: EventClosed, Data: newState(d.Task)})
	return nil
}

// markDeleted removes a task that nobody has seen. ErrNotDraft.
func (d *TaskChange) markDeleted() error {
	if d.Status != StatusDraft {
		return ErrNotDraft
	}
	d.isDeleted = true
	return nil
}

// applyPatch changes what the patch says. ErrNotDraft when grades may refer to what would change.
func (d *TaskChange) applyPatch(p TaskPatch, now time.Time) error {
	if p.MaxScore != nil && *p.MaxScore != d.MaxScore && d.Status != StatusDraft {
		return ErrNotDraft
	}
	changes := setIfChanged(&d.Title, p.Title)
	changes = setIfChanged(&d.Description, p.Description) || changes
	changes = setIfChanged(&d.MaxScore, p.MaxScore) || changes
	if p.DueAt != nil && !p.DueAt.Equal(d.DueAt) {
		d.DueAt, changes = *p.DueAt, true
	}
	if changes {
		d.markChanged(now)
	}
	return nil
}

// setIfChanged changes field to value and reports whether that is something new.
func setIfChanged[T comparable](field, value *T) bool {
	if value == nil || *value == *field {
		return false
	}
	*field = *value
	return true
}

func (d *TaskChange) markChanged(now time.Time) {
	if !d.isChanged {
		d.Version++
	}
	d.isChanged = true
	d.UpdatedAt = now
}
