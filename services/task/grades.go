package task

import (
	"context"
	"slices"
	"time"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// ListAssignments lists a task's assignments with the status, or all if status is "". It returns not_found if the caller
// may not see the task, and forbidden if the caller is not a teacher of its class.
func (s *Service) ListAssignments(ctx context.Context, userID, taskID, status string, p page.Request[UserKey]) (page.Page[Assignment], error) {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher)
	if err != nil {
		return page.Page[Assignment]{}, err
	}
	return s.Submissions.ListAssignments(ctx, perms.Task, status, p)
}

// ListSubmissions lists what students have handed in for a task, without drafts. It returns not_found if the caller may not
// see the task, and forbidden if the caller is not a teacher of its class.
func (s *Service) ListSubmissions(ctx context.Context, userID, taskID string, p page.Request[UserKey]) (page.Page[NamedSubmission], error) {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher)
	if err != nil {
		return page.Page[NamedSubmission]{}, err
	}
	return s.Submissions.ListSubmissions(ctx, perms.Task, p)
}

// GetSubmission returns the hand-in of a student that counts. It returns not_found if the caller may not see the task or the
// student has handed in nothing, even if there is a draft, and forbidden if the caller is not a teacher of the class.
func (s *Service) GetSubmission(ctx context.Context, userID, taskID, studentID string) (Submission, error) {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher)
	if err != nil {
		return Submission{}, err
	}
	sub, err := s.Submissions.FindCountedSubmission(ctx, perms.Task, studentID)
	if err == nil && sub.Status == SubmissionDraft {
		return Submission{}, problem.NotFound()
	}
	return sub, err
}

// GradeSubmission grades a submission whose version satisfies cond, or changes its grade. The grade is for the hand-in that
// counts at the time of the first grade. It returns validation_failed if a
// value is invalid, not_found if the caller may not see the task or the student does not have it, forbidden if the caller
// is not a teacher of the class or would grade their own work, as a student who became a teacher, ErrNotSubmitted if the student has not handed in, and precondition_failed if the version
// does not satisfy cond.
func (s *Service) GradeSubmission(ctx context.Context, userID, taskID, studentID string, g GradeInput, cond entity.Condition) (Submission, error) {
	if err := g.validate(); err != nil {
		return Submission{}, err
	}
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher)
	if err != nil {
		return Submission{}, err
	}
	if userID == studentID {
		return Submission{}, problem.Forbidden()
	}
	sub, err := s.Writer.ChangeSubmission(ctx, taskID, studentID, func(c *SubmissionChange) error {
		if err := c.checkVersion(cond); err != nil {
			return err
		}
		return c.setGrade(g, s.now())
	})
	if err != nil || sub.Number == sub.CountedNumber {
		return sub, err
	}
	return s.Submissions.FindCountedSubmission(ctx, perms.Task, studentID)
}

// GetStats returns a task's statistics and the task whose version and revision they belong to. It returns not_found if the
// caller may not see the task, and forbidden if the caller is not a teacher of its class.
func (s *Service) GetStats(ctx context.Context, userID, taskID string) (Stats, Task, error) {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher)
	if err != nil {
		return Stats{}, Task{}, err
	}
	stats, err := s.Submissions.ReadStats(ctx, perms.Task)
	return stats, perms.Task, err
}

const gradesBatch = 500

// StreamGrades passes the rows of a task's table of grades to each, by name and batch by batch. It first calls begin once with
// the time zone of the school, after it has checked the caller's permission. It returns not_found if the caller may not see the
// task, forbidden if the caller is not a teacher of its class, and any error of begin and each.
func (s *Service) StreamGrades(ctx context.Context, userID, taskID string, begin func(Task, *time.Location) error, each func([]Grade) error) error {
	perms, err := s.requirePermission(ctx, taskID, userID, Permissions.IsTeacher)
	if err != nil {
		return err
	}
	users, err := s.Submissions.ListGradedUsers(ctx, perms.Task)
	if err != nil {
		return err
	}
	if err := begin(perms.Task, perms.location()); err != nil {
		return err
	}
	for batch := range slices.Chunk(users, gradesBatch) {
		rows, err := s.Submissions.ListGrades(ctx, perms.Task, batch)
		if err != nil {
			return err
		}
		if err := each(rows); err != nil {
			return err
		}
	}
	return nil
}
