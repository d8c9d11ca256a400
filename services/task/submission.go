package task

import (
	"time"

	"pgo/pkg/entity"
	"pgo/pkg/problem"
)

// Statuses of an assignment, and of a submission, which is a draft while its assignment is merely assigned.
const (
	SubmissionAssigned  = "assigned"
	SubmissionDraft     = "draft"
	SubmissionSubmitted = "submitted"
	SubmissionGraded    = "graded"
)

// DeletedUser is the name shown for people whose account was deleted.
const DeletedUser = "deleted user"

// Assignment is a task given to one student, and the student's progress.
type Assignment struct {
	TaskID      string     `json:"task_id"`
	UserID      string     `json:"user_id"`
	Name        *string    `json:"name"` // null while it is not known
	Status      string     `json:"status" enums:"assigned,submitted,graded"`
	Late        bool       `json:"late"`
	Score       *int       `json:"score"`
	AssignedAt  time.Time  `json:"assigned_at"`
	SubmittedAt *time.Time `json:"submitted_at"`
	GradedAt    *time.Time `json:"graded_at"`
}

// Submission holds the work that a student saved or handed in for a task.
type Submission struct {
	TaskID      string     `json:"task_id"`
	UserID      string     `json:"user_id"`
	Status      string     `json:"status" enums:"draft,submitted,graded"`
	Content     string     `json:"content"`
	Late        bool       `json:"late"`
	Score       *int       `json:"score"`
	Feedback    string     `json:"feedback"`
	Version     int64      `json:"version"` // grows with each change; the entity tag
	SubmittedAt *time.Time `json:"submitted_at"`
	GradedAt    *time.Time `json:"graded_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
}

// NamedSubmission is a submission in a list, with the student's name.
type NamedSubmission struct {
	Submission
	Name *string `json:"name"` // null while it is not known
}

// SubmissionChange is a student's submission during a change, locked in the store together with its task.
type SubmissionChange struct {
	Task       Task
	Submission Submission // its status is "" while nothing is saved

	events    []Event
	isChanged bool
}

// Events returns the events to publish.
func (c *SubmissionChange) Events() []Event { return c.events }

// IsChanged reports whether the store must save the submission and its task.
func (c *SubmissionChange) IsChanged() bool { return c.isChanged }

func (c *SubmissionChange) checkVersion(cond entity.Condition) error {
	if c.Submission.Status == "" && cond.IsSet() {
		return problem.PreconditionFailed() // also for "*": there is no submission
	}
	return cond.Check(c.Submission.Version)
}

// handIn saves a submission, as a draft or handed in. It returns ErrClosed unless the task is open, ErrAlreadyGraded if
// there is a grade, and ErrAlreadySubmitted if a draft would replace what was handed in.
func (c *SubmissionChange) handIn(h SubmissionInput, now time.Time) error {
	if c.Task.Status != StatusPublished {
		return ErrClosed
	}
	s := &c.Submission
	switch s.Status {
	case SubmissionGraded:
		return ErrAlreadyGraded
	case SubmissionSubmitted:
		if h.IsDraft {
			return ErrAlreadySubmitted
		}
	default:
		if h.IsDraft {
			s.Status = SubmissionDraft
			break
		}
		s.Status = SubmissionSubmitted
		c.Task.SubmittedCount++
	}
	s.Content, s.UpdatedAt = h.Content, now
	s.Version++
	c.isChanged = true
	if h.IsDraft {
		return nil
	}
	s.SubmittedAt, s.Late = &now, now.After(c.Task.DueAt)
	c.Task.Revision++
	c.events = append(c.events, Event{Type: EventSubmitted, Data: SubmittedData{TaskID: c.Task.ID, UserID: s.UserID, Late: s.Late, SubmittedAt: now}})
	return nil
}

// setGrade sets or replaces the grade. It returns ErrNotSubmitted if the student has not handed in, and validation_failed if
// the score exceeds the task's maximum.
func (c *SubmissionChange) setGrade(g GradeInput, now time.Time) error {
	s := &c.Submission
	if s.Status != SubmissionSubmitted && s.Status != SubmissionGraded {
		return ErrNotSubmitted
	}
	if *g.Score > c.Task.MaxScore {
		return problem.Invalid(newScoreError(c.Task.MaxScore))
	}
	if s.Status == SubmissionGraded && *s.Score == *g.Score && s.Feedback == g.Feedback {
		return nil
	}
	if s.Status == SubmissionSubmitted {
		c.Task.GradedCount++
	}
	s.Status, s.Score, s.Feedback, s.GradedAt, s.UpdatedAt = SubmissionGraded, g.Score, g.Feedback, &now, now
	s.Version++
	c.Task.Revision++
	c.isChanged = true
	c.events = append(c.events, Event{Type: EventGraded, Data: GradedData{TaskID: c.Task.ID, UserID: s.UserID, Score: *g.Score, MaxScore: c.Task.MaxScore, GradedAt: now}})
	return nil
}
