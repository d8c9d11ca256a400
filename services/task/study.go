package task

import (
	"context"

	"pgo/pkg/entity"
)

// HandIn saves an assignee's work, as a draft or for good; what was handed in can be replaced until the task is
// closed or a grade is given. validation_failed, not_found, forbidden, precondition_failed, ErrClosed,
// ErrAlreadySubmitted, ErrAlreadyGraded.
func (s *Service) HandIn(ctx context.Context, userID, taskID string, h SubmissionInput, cond entity.Condition) (Submission, error) {
	if err := h.validate(); err != nil {
		return Submission{}, err
	}
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsAssignee); err != nil {
		return Submission{}, err
	}
	return s.Writer.ChangeSubmission(ctx, taskID, userID, func(w *SubmissionChange) error {
		if err := w.checkVersion(cond); err != nil {
			return err
		}
		return w.handIn(h, s.now())
	})
}

// GetOwnSubmission returns what an assignee has saved, also a draft. not_found, forbidden.
func (s *Service) GetOwnSubmission(ctx context.Context, userID, taskID string) (Submission, error) {
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsAssignee); err != nil {
		return Submission{}, err
	}
	return s.Submissions.FindSubmission(ctx, taskID, userID)
}
