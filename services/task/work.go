package task

import (
	"context"
	"time"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// HandIn saves an assignee's submission, as a draft or handed in. One can hand in again until the task is closed or a grade
// is given; every hand-in is kept. Content that is not given leaves a draft alone. It returns validation_failed if the content is invalid, not_found if the person may not see
// the task, forbidden if it is not assigned to them, precondition_failed if the version of the submission does not satisfy
// cond, ErrClosed if the task is closed, ErrAlreadySubmitted if a draft would replace what was handed in,
// ErrAlreadyGraded if there is a grade, and ErrTooManyHandIns if the student has handed in too often.
func (s *Service) HandIn(ctx context.Context, userID, taskID string, h SubmissionInput, cond entity.Condition) (Submission, error) {
	if err := h.validate(); err != nil {
		return Submission{}, err
	}
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsAssignee); err != nil {
		return Submission{}, err
	}
	return s.Writer.ChangeSubmission(ctx, taskID, userID, func(c *SubmissionChange) error {
		if err := c.checkVersion(cond); err != nil {
			return err
		}
		return c.handIn(h, s.now())
	})
}

// GetOwnSubmission returns what a person has saved, including a draft. It returns not_found if the person may not see the task
// or has saved nothing, and forbidden if the task was never assigned to them.
func (s *Service) GetOwnSubmission(ctx context.Context, userID, taskID string) (Submission, error) {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.MayReadOwnWork)
	if err != nil {
		return Submission{}, err
	}
	return s.Submissions.FindSubmission(ctx, perms.Task, userID)
}

// ListOwnHandIns lists the person's hand-ins, oldest first. Its errors are those of GetOwnSubmission, except that a person who
// has handed in nothing gets an empty list.
func (s *Service) ListOwnHandIns(ctx context.Context, userID, taskID string, p page.Request[HandInKey]) (page.Page[HandIn], error) {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.MayReadOwnWork)
	if err != nil {
		return page.Page[HandIn]{}, err
	}
	return s.Submissions.ListHandIns(ctx, perms.Task, userID, p)
}

// GetOwnHandIn returns one of the person's hand-ins. Its errors are those of GetOwnSubmission.
func (s *Service) GetOwnHandIn(ctx context.Context, userID, taskID string, number int) (HandInContent, error) {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.MayReadOwnWork)
	if err != nil {
		return HandInContent{}, err
	}
	return s.Submissions.FindHandIn(ctx, perms.Task, userID, number)
}

// ListHandIns lists a student's hand-ins, oldest first. It returns not_found if the caller may not see the task, and
// forbidden if the caller is not a teacher of its class.
func (s *Service) ListHandIns(ctx context.Context, userID, taskID, studentID string, p page.Request[HandInKey]) (page.Page[HandIn], error) {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher)
	if err != nil {
		return page.Page[HandIn]{}, err
	}
	return s.Submissions.ListHandIns(ctx, perms.Task, studentID, p)
}

// GetHandIn returns one of a student's hand-ins. It returns not_found if there is none with the number or the caller may not
// see the task, and forbidden if the caller is not a teacher of its class.
func (s *Service) GetHandIn(ctx context.Context, userID, taskID, studentID string, number int) (HandInContent, error) {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher)
	if err != nil {
		return HandInContent{}, err
	}
	return s.Submissions.FindHandIn(ctx, perms.Task, studentID, number)
}

// SetExtension gives a student a deadline of their own, later than the task's, or removes it if due is nil. It returns
// validation_failed if the deadline is not later than the task's, not_found if the caller may not see the task or the student
// does not have it, and forbidden if the caller is not a teacher of its class or is the student.
func (s *Service) SetExtension(ctx context.Context, userID, taskID, studentID string, due *time.Time) error {
	if due != nil {
		at, ok := normalizeDueAt(*due)
		if !ok {
			return problem.Invalid(errDueAt)
		}
		due = &at
	}
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher); err != nil {
		return err
	}
	if userID == studentID {
		return problem.Forbidden()
	}
	return s.Writer.SetExtension(ctx, taskID, studentID, due, func(t Task) error {
		if due != nil && !due.After(t.DueAt) {
			return problem.Invalid(problem.Field{Field: "due_at", Code: "out_of_range", Message: "must be after the task's due_at"})
		}
		return nil
	})
}
