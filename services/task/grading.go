package task

import (
	"context"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// ListAssignments lists who has the task, with a status or all for "". not_found, forbidden.
func (s *Service) ListAssignments(ctx context.Context, userID, taskID, status string, p page.Request[UserKey]) (page.Page[Assignment], error) {
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher); err != nil {
		return page.Page[Assignment]{}, err
	}
	return s.Submissions.ListAssignments(ctx, taskID, status, p)
}

// ListSubmissions lists what was handed in. not_found, forbidden.
func (s *Service) ListSubmissions(ctx context.Context, userID, taskID string, p page.Request[UserKey]) (page.Page[NamedSubmission], error) {
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher); err != nil {
		return page.Page[NamedSubmission]{}, err
	}
	return s.Submissions.ListSubmissions(ctx, taskID, p)
}

// GetSubmission returns what a student has handed in; a draft is the student's own. not_found, forbidden.
func (s *Service) GetSubmission(ctx context.Context, userID, taskID, studentID string) (Submission, error) {
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher); err != nil {
		return Submission{}, err
	}
	sub, err := s.Submissions.FindSubmission(ctx, taskID, studentID)
	if err == nil && sub.Status == SubmissionDraft {
		return Submission{}, problem.NotFound()
	}
	return sub, err
}

// GradeSubmission gives a submission a grade, also another one than before. validation_failed, not_found, forbidden,
// precondition_failed, ErrNotSubmitted.
func (s *Service) GradeSubmission(ctx context.Context, userID, taskID, studentID string, g GradeInput, cond entity.Condition) (Submission, error) {
	if err := g.validate(); err != nil {
		return Submission{}, err
	}
	if _, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher); err != nil {
		return Submission{}, err
	}
	return s.Writer.ChangeSubmission(ctx, taskID, studentID, func(w *SubmissionChange) error {
		if err := w.checkVersion(cond); err != nil {
			return err
		}
		return w.setGrade(g, s.now())
	})
}

// GetStats returns a task's figures and the version of the task that they are of. not_found, forbidden.
func (s *Service) GetStats(ctx context.Context, userID, taskID string) (Stats, int64, error) {
	st, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher)
	if err != nil {
		return Stats{}, 0, err
	}
	stats, err := s.Submissions.ReadStats(ctx, taskID, st.Task.Version)
	return stats, st.Task.Version, err
}

const gradesBatch = 500

// StreamGrades has each take the rows of a task's table of grades, batch by batch. begin is called once before them, when it
// is known that the caller may see them. not_found, forbidden, and what begin and each return.
func (s *Service) StreamGrades(ctx context.Context, userID, taskID string, begin func(Task) error, each func([]Grade) error) error {
	st, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher)
	if err != nil {
		return err
	}
	rows, err := s.Submissions.ListGrades(ctx, taskID, "", gradesBatch)
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
		if rows, err = s.Submissions.ListGrades(ctx, taskID, rows[len(rows)-1].UserID, gradesBatch); err != nil {
			return err
		}
	}
	return nil
}
