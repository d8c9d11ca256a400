package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"pgo/pkg/cache"
	"pgo/pkg/mysql"
	"pgo/pkg/page"
	"pgo/services/task"
)

// namedAssignmentRow is an assignment row joined with the student's name and submission.
type namedAssignmentRow struct {
	Assignment assignmentRow `gorm:"embedded"`
	Name       *string
	Deleted    *bool
	Submission submissionRow `gorm:"embedded;embeddedPrefix:sub_"`
}

func (r namedAssignmentRow) displayName() *string {
	if r.Deleted != nil && *r.Deleted {
		name := task.DeletedUser
		return &name
	}
	return r.Name
}

func (r namedAssignmentRow) toAssignment() task.Assignment {
	a := r.Assignment
	return task.Assignment{
		TaskID: a.TaskID, UserID: a.UserID, Name: r.displayName(), Status: a.Status, Late: a.Late, Score: a.Score,
		AssignedAt: a.AssignedAt, SubmittedAt: a.SubmittedAt, GradedAt: a.GradedAt,
	}
}

func (r namedAssignmentRow) toNamedSubmission() task.NamedSubmission {
	return task.NamedSubmission{Submission: r.Assignment.toSubmission(r.Submission), Name: r.displayName()}
}

// ListAssignments implements task.WorkReader.
func (s *Store) ListAssignments(ctx context.Context, taskID, status string, p page.Request[task.UserKey]) (page.Page[task.Assignment], error) {
	q := s.db.WithContext(ctx).Table("assignments a").Select("a.*, p.name, p.deleted").Joins("LEFT JOIN people p ON p.id = a.user_id").Where("a.task_id = ?", taskID)
	if status != "" {
		q = q.Where("a.status = ?", status)
	}
	if p.After != nil {
		q = q.Where("a.user_id > ?", p.After.UserID)
	}
	var rows []namedAssignmentRow
	if err := q.Order("a.user_id").Limit(p.Limit + 1).Find(&rows).Error; err != nil {
		return page.Page[task.Assignment]{}, mysql.Wrap(err, "list assignments")
	}
	return page.New(rows, p.Limit, namedAssignmentRow.toAssignment, func(a task.Assignment) task.UserKey { return task.UserKey{UserID: a.UserID} })
}

// ListSubmissions implements task.SubmissionReader. The two statuses are read as ranges of an index and merged here.
func (s *Store) ListSubmissions(ctx context.Context, taskID string, p page.Request[task.UserKey]) (page.Page[task.NamedSubmission], error) {
	after := ""
	if p.After != nil {
		after = p.After.UserID
	}
	const part = `(SELECT STRAIGHT_JOIN a.*, p.name, p.deleted, s.content AS sub_content, s.feedback AS sub_feedback, s.updated_at AS sub_updated_at
		FROM assignments a FORCE INDEX (assignments_status)
		JOIN submissions s ON s.task_id = a.task_id AND s.user_id = a.user_id
		LEFT JOIN people p ON p.id = a.user_id
		WHERE a.task_id = ? AND a.status = ? AND a.user_id > ? ORDER BY a.user_id LIMIT ?)`
	var rows []namedAssignmentRow
	err := s.db.WithContext(ctx).Raw(part+" UNION ALL "+part, taskID, task.SubmissionSubmitted, after, p.Limit+1, taskID, task.SubmissionGraded, after, p.Limit+1).Find(&rows).Error
	if err != nil {
		return page.Page[task.NamedSubmission]{}, mysql.Wrap(err, "list submissions")
	}
	slices.SortFunc(rows, func(a, b namedAssignmentRow) int { return cmp.Compare(a.Assignment.UserID, b.Assignment.UserID) })
	if len(rows) > p.Limit+1 {
		rows = rows[:p.Limit+1]
	}
	return page.New(rows, p.Limit, namedAssignmentRow.toNamedSubmission, func(n task.NamedSubmission) task.UserKey { return task.UserKey{UserID: n.UserID} })
}

// FindSubmission implements task.WorkReader.
func (s *Store) FindSubmission(ctx context.Context, taskID, userID string) (task.Submission, error) {
	var row namedAssignmentRow
	err := s.db.WithContext(ctx).Table("assignments a").Select("a.*, s.content AS sub_content, s.feedback AS sub_feedback, s.updated_at AS sub_updated_at").
		Joins("JOIN submissions s ON s.task_id = a.task_id AND s.user_id = a.user_id").
		Where("a.task_id = ? AND a.user_id = ?", taskID, userID).Take(&row).Error
	if err != nil {
		return task.Submission{}, mysql.WrapNotFound(err, "read submission")
	}
	return row.Assignment.toSubmission(row.Submission), nil
}

// ListGrades implements task.WorkReader.
func (s *Store) ListGrades(ctx context.Context, taskID, afterUser string, limit int) ([]task.Grade, error) {
	var rows []namedAssignmentRow
	err := s.db.WithContext(ctx).Raw(`SELECT STRAIGHT_JOIN a.*, p.name, p.deleted, s.feedback AS sub_feedback FROM assignments a FORCE INDEX (PRIMARY)
		LEFT JOIN people p ON p.id = a.user_id
		LEFT JOIN submissions s ON s.task_id = a.task_id AND s.user_id = a.user_id
		WHERE a.task_id = ? AND a.user_id > ? ORDER BY a.user_id LIMIT ?`, taskID, afterUser, limit).Find(&rows).Error
	if err != nil {
		return nil, mysql.Wrap(err, "read grades")
	}
	grades := make([]task.Grade, len(rows))
	for i, r := range rows {
		grades[i] = task.Grade{Assignment: r.toAssignment(), Feedback: r.Submission.Feedback}
	}
	return grades, nil
}

// ReadStats implements task.SubmissionReader, through the cache: every change of an assignment changes its task's revision,
// so the statistics of a version and revision never change.
func (s *Store) ReadStats(ctx context.Context, t task.Task) (task.Stats, error) {
	return cache.Fetch(ctx, s.cache, fmt.Sprintf("stats:%s:%d.%d", t.ID, t.Version, t.Revision), func(ctx context.Context) (task.Stats, int64, error) {
		var groups []task.AssignmentGroup
		err := s.db.WithContext(ctx).Model(&assignmentRow{}).Select("status, late, score, COUNT(*) AS count").Where("task_id = ?", t.ID).
			Group("status, late, score").Order("score").Find(&groups).Error
		return task.ComputeStats(groups), t.Version + t.Revision, mysql.Wrap(err, "count assignments")
	})
}
