package task

import (
	"context"

	"pgo/pkg/entity"
)

// HandIn saves an assignee's submission, as a draft or handed in. What was handed in can be replaced until the task is
// closed or a grade is given. It returns validation_failed if the content is invalid, not_found if the person may not see
// the task, forbidden if it is not assigned to them, precondition_failed if the version of the submission does not satisfy
// cond, ErrClosed if the task is closed, ErrAlreadySubmitted if a draft would replace what was handed in, and
// ErrAlreadyGraded if there is a grade.
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

// GetOwnSubmission returns what an assignee has saved, including a draft. It returns not_found if the person may not see the
// task or has saved nothing, and forbidden if the task is not assigned to them.
func (s *Service) GetOwnSubmission(ctx context.Context, userID, taskID string) (Submission, error) {
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsAssignee); err != nil {
		return Submission{}, err
	}
	return s.Submissions.FindSubmission(ctx, taskID, userID)
}
