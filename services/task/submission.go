package task

import (
	"strings"
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
	DueAt       time.Time  `json:"due_at"` // of the task, or the student's own if that is later
	Late        bool       `json:"late"`   // nothing was handed in by due_at
	HandIns     int        `json:"hand_ins"`
	Score       *int       `json:"score"`
	AssignedAt  time.Time  `json:"assigned_at"`
	SubmittedAt *time.Time `json:"submitted_at"`
	GradedAt    *time.Time `json:"graded_at"`
}

// Submission holds the work that a student saved or handed in for a task. Its content is that of one hand-in: the last one
// for the student, the one that counts for the teacher.
type Submission struct {
	TaskID        string     `json:"task_id"`
	UserID        string     `json:"user_id"`
	Status        string     `json:"status" enums:"draft,submitted,graded"`
	Content       string     `json:"content"`
	DueAt         time.Time  `json:"due_at"`         // of the task, or the student's own if that is later
	Late          bool       `json:"late"`           // nothing was handed in by due_at
	Number        int        `json:"number"`         // of the hand-in that is shown, from 1; 0 for a draft
	CountedNumber int        `json:"counted_number"` // of the hand-in that counts: see HandIn
	HandIns       int        `json:"hand_ins"`       // how often the student has handed in
	Score         *int       `json:"score"`
	Feedback      string     `json:"feedback"`
	Version       int64      `json:"version"` // grows with each change; the entity tag
	SubmittedAt   *time.Time `json:"submitted_at"`
	GradedAt      *time.Time `json:"graded_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
}

// HandIn is one of the times at which a student handed in a task. The last hand-in by the deadline counts, or the last one if
// all were late; once there is a grade, the hand-in that was graded.
type HandIn struct {
	Number      int       `json:"number"` // from 1
	SubmittedAt time.Time `json:"submitted_at"`
	Late        bool      `json:"late"`   // after the deadline that is in force now
	Counts      bool      `json:"counts"` // it is the one that the teacher grades
}

// HandInContent is a hand-in with what was handed in.
type HandInContent struct {
	HandIn
	Content string `json:"content"`
}

// DeadlineInForce returns the later of a task's deadline and a student's own, nil if the student has none.
func DeadlineInForce(due time.Time, extended *time.Time) time.Time {
	if extended != nil && extended.After(due) {
		return *extended
	}
	return due
}

// NamedSubmission is a submission in a list, with the student's name.
type NamedSubmission struct {
	Submission
	Name *string `json:"name"` // null while it is not known
}

// SubmissionChange is a student's submission during a change, locked in the store together with its task.
type SubmissionChange struct {
	Task       Task
	Submission Submission // the last hand-in; its status is "" while nothing is saved

	events     []Event
	isChanged  bool
	superseded *HandInContent
}

// Events returns the events to publish.
func (c *SubmissionChange) Events() []Event { return c.events }

// Superseded returns the hand-in that the change replaces, nil if it replaces none. The store must keep it.
func (c *SubmissionChange) Superseded() *HandInContent { return c.superseded }

// IsChanged reports whether the store must save the submission and its task.
func (c *SubmissionChange) IsChanged() bool { return c.isChanged }

func (c *SubmissionChange) checkVersion(cond entity.Condition) error {
	if c.Submission.Status == "" && cond.IsSet() {
		return problem.PreconditionFailed() // also for "*": there is no submission
	}
	return cond.Check(c.Submission.Version)
}

// handIn saves a submission, as a draft or handed in. Content that is missing or the same as before leaves the saved content
// alone. It returns ErrClosed unless the task is open, ErrAlreadyGraded if there is a grade, ErrAlreadySubmitted if a draft
// would replace what was handed in, and validation_failed if nothing would be handed in.
func (c *SubmissionChange) handIn(h SubmissionInput, now time.Time) error {
	s := &c.Submission
	switch {
	case c.Task.Status != StatusPublished:
		return ErrClosed
	case s.Status == SubmissionGraded:
		return ErrAlreadyGraded
	case s.Status == SubmissionSubmitted && h.isDraft():
		return ErrAlreadySubmitted
	case h.Content == nil && s.Status != SubmissionDraft:
		return problem.Invalid(errContentRequired)
	}
	content := s.Content
	if h.Content != nil {
		content = *h.Content
	}
	if !h.isDraft() {
		return c.handInContent(content, now)
	}
	if s.Status == SubmissionDraft && content == s.Content {
		return nil
	}
	s.Status, s.Content, s.UpdatedAt = SubmissionDraft, content, now
	s.Version++
	c.isChanged = true
	return nil
}

// handInContent adds a hand-in, unless it is the same as the last one. It returns ErrTooManyHandIns after maxHandIns of them.
func (c *SubmissionChange) handInContent(content string, now time.Time) error {
	s := &c.Submission
	if strings.TrimSpace(content) == "" {
		return problem.Invalid(errContentRequired)
	}
	late := now.After(s.DueAt)
	switch {
	case s.Status != SubmissionSubmitted:
		s.Status, s.Late = SubmissionSubmitted, late
		c.Task.SubmittedCount++
	case s.Content == content:
		return nil
	case s.HandIns >= maxHandIns:
		return ErrTooManyHandIns
	default:
		c.superseded = &HandInContent{HandIn: HandIn{Number: s.HandIns, SubmittedAt: *s.SubmittedAt}, Content: s.Content}
	}
	s.HandIns++
	if s.Number = s.HandIns; !late || s.Late {
		s.CountedNumber = s.Number
	}
	s.Content, s.UpdatedAt, s.SubmittedAt = content, now, &now
	s.Version++
	c.isChanged = true
	c.Task.Revision++
	c.events = append(c.events, Event{Type: EventSubmitted, Data: SubmittedData{TaskID: c.Task.ID, UserID: s.UserID, Late: late, SubmittedAt: now}})
	return nil
}

// setGrade sets or replaces the grade. Feedback that is missing leaves the former feedback alone. It returns ErrNotSubmitted if the student has not handed in, and validation_failed if
// the score exceeds the task's maximum.
func (c *SubmissionChange) setGrade(g GradeInput, now time.Time) error {
	s := &c.Submission
	if s.Status != SubmissionSubmitted && s.Status != SubmissionGraded {
		return ErrNotSubmitted
	}
	if *g.Score > c.Task.MaxScore {
		return problem.Invalid(newScoreError(c.Task.MaxScore))
	}
	feedback := s.Feedback
	if g.Feedback != nil {
		feedback = *g.Feedback
	}
	if s.Status == SubmissionGraded && *s.Score == *g.Score && s.Feedback == feedback {
		return nil
	}
	if s.Status == SubmissionSubmitted {
		c.Task.GradedCount++
	}
	s.Status, s.Score, s.Feedback, s.GradedAt, s.UpdatedAt = SubmissionGraded, g.Score, feedback, &now, now
	s.Version++
	c.Task.Revision++
	c.isChanged = true
	c.events = append(c.events, Event{Type: EventGraded, Data: GradedData{TaskID: c.Task.ID, UserID: s.UserID, Score: *g.Score, MaxScore: c.Task.MaxScore, GradedAt: now}})
	return nil
}
