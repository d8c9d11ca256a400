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
	Email      *string
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

// toAssignment returns the assignment. counted has the former hand-ins that count.
func (r namedAssignmentRow) toAssignment(t task.Task, counted map[string]handInRow) task.Assignment {
	a := r.Assignment
	if h, ok := counted[a.UserID]; ok {
		a.SubmittedAt = &h.SubmittedAt
	}
	return task.Assignment{
		TaskID: a.TaskID, UserID: a.UserID, Name: r.displayName(), Status: a.Status, DueAt: a.dueAt(t), Late: a.isLate(t), HandIns: a.handIns(), Score: a.Score,
		AssignedAt: a.AssignedAt, SubmittedAt: a.SubmittedAt, GradedAt: a.GradedAt,
	}
}

func (r namedAssignmentRow) toNamedSubmission(t task.Task, counted map[string]handInRow) task.NamedSubmission {
	n := task.NamedSubmission{Submission: r.Assignment.toSubmission(t, r.Submission), Name: r.displayName()}
	if h, ok := counted[n.UserID]; ok {
		showHandIn(&n.Submission, h)
	}
	return n
}

// findCounted returns the former hand-ins that count among the rows of a list.
func (s *Store) findCounted(ctx context.Context, t task.Task, rows []namedAssignmentRow) (map[string]handInRow, error) {
	assignments := make([]assignmentRow, len(rows))
	for i, r := range rows {
		assignments[i] = r.Assignment
	}
	return findCountedHandIns(s.db.WithContext(ctx), t, assignments...)
}

// ListAssignments implements task.SubmissionReader.
func (s *Store) ListAssignments(ctx context.Context, t task.Task, status string, p page.Request[task.UserKey]) (page.Page[task.Assignment], error) {
	q := s.db.WithContext(ctx).Table("assignments a").Select("a.*, p.name, p.deleted").Joins("LEFT JOIN people p ON p.id = a.user_id").Where("a.task_id = ? AND a.withdrawn = FALSE", t.ID)
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
	counted, err := s.findCounted(ctx, t, rows)
	if err != nil {
		return page.Page[task.Assignment]{}, err
	}
	return page.New(rows, p.Limit, func(r namedAssignmentRow) task.Assignment { return r.toAssignment(t, counted) }, func(a task.Assignment) task.UserKey { return task.UserKey{UserID: a.UserID} })
}

// ListSubmissions implements task.SubmissionReader. The two statuses are read as ranges of an index and merged here.
func (s *Store) ListSubmissions(ctx context.Context, t task.Task, p page.Request[task.UserKey]) (page.Page[task.NamedSubmission], error) {
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
	err := s.db.WithContext(ctx).Raw(part+" UNION ALL "+part, t.ID, task.SubmissionSubmitted, after, p.Limit+1, t.ID, task.SubmissionGraded, after, p.Limit+1).Find(&rows).Error
	if err != nil {
		return page.Page[task.NamedSubmission]{}, mysql.Wrap(err, "list submissions")
	}
	slices.SortFunc(rows, func(a, b namedAssignmentRow) int { return cmp.Compare(a.Assignment.UserID, b.Assignment.UserID) })
	if len(rows) > p.Limit+1 {
		rows = rows[:p.Limit+1]
	}
	counted, err := s.findCounted(ctx, t, rows)
	if err != nil {
		return page.Page[task.NamedSubmission]{}, err
	}
	return page.New(rows, p.Limit, func(r namedAssignmentRow) task.NamedSubmission { return r.toNamedSubmission(t, counted) }, func(n task.NamedSubmission) task.UserKey { return task.UserKey{UserID: n.UserID} })
}

// ReadStats implements task.SubmissionReader, through the cache: every change of an assignment changes its task's revision,
// so the statistics of a version and revision never change.
func (s *Store) ReadStats(ctx context.Context, t task.Task) (task.Stats, error) {
	return cache.Fetch(ctx, s.cache, fmt.Sprintf("stats:%s:%d.%d", t.ID, t.Version, t.Revision), func(ctx context.Context) (task.Stats, int64, error) {
		var groups []task.AssignmentGroup
		err := s.db.WithContext(ctx).Model(&assignmentRow{}).Select("status, COALESCE(COALESCE(first_submitted_at, submitted_at) > GREATEST(?, COALESCE(extended_due_at, ?)), FALSE) AS late_now, score, COUNT(*) AS count", t.DueAt, t.DueAt).
			Where("task_id = ? AND withdrawn = FALSE", t.ID).
			Group("status, late_now, score").Order("score").Find(&groups).Error
		return task.ComputeStats(groups), t.Version + t.Revision, mysql.Wrap(err, "count assignments")
	})
}
