package task

import (
	"context"

	"pgo/pkg/etag"
)

// HandIn saves an assignee's work, as a draft or for good; what was handed in can be replaced until the task is
// closed or a grade is given. validation_failed, not_found, forbidden, precondition_failed, ErrClosed,
// ErrAlreadySubmitted, ErrAlreadyGraded.
func (s *Service) HandIn(ctx context.Context, userID, taskID string, h Handin, cond etag.Condition) (Submission, error) {
	if err := h.check(); err != nil {
		return Submission{}, err
	}
	if _, err := s.require(ctx, taskID, userID, Standing.Studies); err != nil {
		return Submission{}, err
	}
	return s.Writer.ChangeWork(ctx, taskID, userID, func(w *Work) error {
		if err := w.check(cond); err != nil {
			return err
		}
		return w.handIn(h, s.now())
	})
}

// MyWork returns what an assignee has saved, also a draft. not_found, forbidden.
func (s *Service) MyWork(ctx context.Context, userID, taskID string) (Submission, error) {
	if _, err := s.require(ctx, taskID, userID, Standing.Studies); err != nil {
		return Submission{}, err
	}
	return s.Work.Submission(ctx, taskID, userID)
}
