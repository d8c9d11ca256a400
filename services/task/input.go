package task

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"pgo/pkg/problem"
	"pgo/pkg/text"
)

const (
	maxTitle       = 200       // characters
	maxDescription = 20_000    // characters
	maxFeedback    = 10_000    // characters
	maxScoreLimit  = 1000      // of max_score
	maxContent     = 64 * 1024 // bytes
	maxHandIns     = 100       // of one student for a task; each is kept
)

// NewTask holds the fields of a task that its teacher chooses.
type NewTask struct {
	ClassID     string
	Title       string
	Description string
	MaxScore    int
	DueAt       time.Time
}

// normalize returns the fields as they are stored. It returns a validation_failed problem if a value is invalid.
func (n NewTask) normalize() (NewTask, error) {
	var fields []problem.Field
	if id, err := uuid.Parse(n.ClassID); err != nil || id.String() != n.ClassID {
		fields = append(fields, problem.Field{Field: "class_id", Code: "invalid_id", Message: "must be a class's id"})
	}
	p := TaskPatch{Title: &n.Title, Description: &n.Description, MaxScore: &n.MaxScore, DueAt: &n.DueAt}
	p, patchFields := p.normalize()
	if err := problem.Invalid(append(fields, patchFields...)...); err != nil {
		return n, err
	}
	return NewTask{ClassID: n.ClassID, Title: *p.Title, Description: *p.Description, MaxScore: *p.MaxScore, DueAt: *p.DueAt}, nil
}

// TaskPatch holds new values for the fields of a task. A nil field is left unchanged.
type TaskPatch struct {
	Title       *string
	Description *string
	MaxScore    *int
	DueAt       *time.Time
}

// normalize returns the patch as it is stored, and the errors of its values.
func (p TaskPatch) normalize() (TaskPatch, []problem.Field) {
	var fields []problem.Field
	if p.Title != nil {
		title, ok := text.CleanName(*p.Title, maxTitle)
		if !ok {
			fields = append(fields, problem.Field{Field: "title", Code: "invalid_title", Message: "must have 1 to 200 characters on one line"})
		}
		p.Title = &title
	}
	if p.Description != nil && (utf8.RuneCountInString(*p.Description) > maxDescription || !text.IsCleanBlock(*p.Description)) {
		fields = append(fields, problem.Field{Field: "description", Code: "invalid_text", Message: "must be text of at most 20000 characters"})
	}
	if p.MaxScore != nil && (*p.MaxScore < 1 || *p.MaxScore > maxScoreLimit) {
		fields = append(fields, problem.Field{Field: "max_score", Code: "out_of_range", Message: "must be a whole number from 1 to 1000"})
	}
	if p.DueAt != nil {
		due, ok := normalizeDueAt(*p.DueAt)
		if !ok {
			fields = append(fields, errDueAt)
		}
		p.DueAt = &due
	}
	return p, fields
}

var errDueAt = problem.Field{Field: "due_at", Code: "invalid_time", Message: "must be a time from the year 2000 on"}

// normalizeDueAt returns a deadline as it is stored, and whether it is valid.
func normalizeDueAt(t time.Time) (time.Time, bool) {
	due := t.UTC().Truncate(time.Microsecond)
	return due, due.Year() >= 2000 && due.Year() <= 9999
}

// SubmissionInput holds what a student saves for a task. A nil field was not given.
type SubmissionInput struct {
	Content *string
	IsDraft *bool // whether it is saved, but not handed in yet
}

func (h SubmissionInput) isDraft() bool { return h.IsDraft != nil && *h.IsDraft }

// errContentRequired is for work without content where there is no draft to hand in.
var errContentRequired = problem.Field{Field: "content", Code: "required", Message: "must say something"}

func (h SubmissionInput) validate() error {
	switch {
	case h.Content == nil && h.IsDraft == nil:
		return problem.Invalid(errContentRequired)
	case h.Content == nil:
		return nil
	case len(*h.Content) > maxContent:
		return problem.Invalid(problem.Field{Field: "content", Code: "too_long", Message: "must have at most 64 KiB"})
	case !text.IsCleanBlock(*h.Content):
		return problem.Invalid(problem.Field{Field: "content", Code: "invalid_text", Message: "must be text without control characters"})
	case !h.isDraft() && strings.TrimSpace(*h.Content) == "":
		return problem.Invalid(errContentRequired)
	}
	return nil
}

// GradeInput holds the grade that a teacher gives to a submission. A nil field was not given.
type GradeInput struct {
	Score    *int
	Feedback *string
}

func (g GradeInput) validate() error {
	var fields []problem.Field
	if g.Score == nil {
		fields = append(fields, problem.Field{Field: "score", Code: "required", Message: "must be given"})
	} else if *g.Score < 0 || *g.Score > maxScoreLimit {
		fields = append(fields, newScoreError(maxScoreLimit))
	}
	if g.Feedback != nil && (utf8.RuneCountInString(*g.Feedback) > maxFeedback || !text.IsCleanBlock(*g.Feedback)) {
		fields = append(fields, problem.Field{Field: "feedback", Code: "invalid_text", Message: "must be text of at most 10000 characters"})
	}
	return problem.Invalid(fields...)
}

func newScoreError(maxScore int) problem.Field {
	return problem.Field{Field: "score", Code: "out_of_range", Message: fmt.Sprintf("must be a whole number from 0 to %d", maxScore)}
}
