package task

import (
	"context"

	"pgo/pkg/etag"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// Assignments lists who has the task, with a status or all for "". not_found, forbidden.
func (s *Service) Assignments(ctx context.Context, userID, taskID, status string, p page.Request[UserKey]) (page.Page[Assignment], error) {
	if _, err := s.require(ctx, taskID, userID, Standing.Teaches); err != nil {
		return page.Page[Assignment]{}, err
	}
	return s.Work.Assignments(ctx, taskID, status, p)
}

// Submissions lists what was handed in. not_found, forbidden.
func (s *Service) Submissions(ctx context.Context, userID, taskID string, p page.Request[UserKey]) (page.Page[NamedSubmission], error) {
	if _, err := s.require(ctx, taskID, userID, Standing.Teaches); err != nil {
		return page.Page[NamedSubmission]{}, err
	}
	return s.Work.Submissions(ctx, taskID, p)
}

// Submission returns what a student has handed in; a draft is the student's own. not_found, forbidden.
func (s *Service) Submission(ctx context.Context, userID, taskID, studentID string) (Submission, error) {
	if _, err := s.require(ctx, taskID, userID, Standing.Teaches); err != nil {
		return Submission{}, err
	}
	sub, err := s.Work.Submission(ctx, taskID, studentID)
	if err == nil && sub.Status == WorkDraft {
		return Submission{}, problem.NotFound()
	}
	return sub, err
}

// Grade gives a submission a grade, also another one than before. validation_failed, not_found, forbidden,
// precondition_failed, ErrNotSubmitted.
func (s *Service) Grade(ctx context.Context, userID, taskID, studentID string, g Grading, cond etag.Condition) (Submission, error) {
	if err := g.check(); err != nil {
		return Submission{}, err
	}
	if _, err := s.require(ctx, taskID, userID, Standing.Teaches); err != nil {
		return Submission{}, err
	}
	return s.Writer.ChangeWork(ctx, taskID, studentID, func(w *Work) error {
		if err := w.check(cond); err != nil {
			return err
		}
		return w.grade(g, s.now())
	})
}

// Stats returns a task's figures and the version of the task that they are of. not_found, forbidden.
func (s *Service) Stats(ctx context.Context, userID, taskID string) (Stats, int64, error) {
	st, err := s.require(ctx, taskID, userID, Standing.Teaches)
	if err != nil {
		return Stats{}, 0, err
	}
	stats, err := s.Work.Stats(ctx, taskID, st.Task.Version)
	return stats, st.Task.Version, err
}

const gradesBatch = 500

// Grades has each take the rows of a task's table of grades, batch by batch. begin is called once before them, when it
// is known that the caller may see them. not_found, forbidden, and what begin and each return.
func (s *Service) Grades(ctx context.Context, userID, taskID string, begin func(Task) error, each func([]Grade) error) error {
	st, err := s.require(ctx, taskID, userID, Standing.Teaches)
	if err != nil {
		return err
	}
	rows, err := s.Work.Grades(ctx, taskID, "", gradesBatch)
	if err != nil {
		return err
	}
	if err := begin(st.Task); err != nil {
		return err
	}
	for len(rows) > 0 {
		if err := each(rows); err != nil {
			return err
		}
		if len(rows) < gradesBatch {
			return nil
		}
		if rows, err = s.Work.Grades(ctx, taskID, rows[len(rows)-1].UserID, gradesBatch); err != nil {
			return err
		}
	}
	return nil
}
