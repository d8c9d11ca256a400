package store

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"

	"pgo/pkg/mysql"
	"pgo/services/task"
)

// ListGradedUsers implements task.SubmissionReader. The names are sorted here: the rows come in the order of an index.
func (s *Store) ListGradedUsers(ctx context.Context, t task.Task) ([]string, error) {
	var rows []namedAssignmentRow
	err := s.db.WithContext(ctx).Raw(`SELECT STRAIGHT_JOIN a.user_id, p.name, p.deleted FROM assignments a FORCE INDEX (PRIMARY)
		LEFT JOIN people p ON p.id = a.user_id WHERE a.task_id = ? AND a.withdrawn = FALSE ORDER BY a.user_id`, t.ID).Find(&rows).Error
	if err != nil {
		return nil, mysql.Wrap(err, "list the students of a task")
	}
	names := collate.New(language.Und)
	slices.SortStableFunc(rows, func(a, b namedAssignmentRow) int {
		x, y := a.displayName(), b.displayName()
		if x == nil || y == nil {
			return cmp.Compare(boolToInt(x == nil), boolToInt(y == nil)) // people whose name is not known come last
		}
		return names.CompareString(*x, *y)
	})
	users := make([]string, len(rows))
	for i, r := range rows {
		users[i] = r.Assignment.UserID
	}
	return users, nil
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ListGrades implements task.SubmissionReader.
func (s *Store) ListGrades(ctx context.Context, t task.Task, users []string) ([]task.Grade, error) {
	var rows []namedAssignmentRow
	err := s.db.WithContext(ctx).Raw(`SELECT STRAIGHT_JOIN a.*, p.name, p.email, p.deleted, s.feedback AS sub_feedback FROM assignments a FORCE INDEX (PRIMARY)
		LEFT JOIN people p ON p.id = a.user_id
		LEFT JOIN submissions s ON s.task_id = a.task_id AND s.user_id = a.user_id
		WHERE a.task_id = ? AND a.user_id IN ?`, t.ID, users).Find(&rows).Error
	if err != nil {
		return nil, mysql.Wrap(err, "read grades")
	}
	counted, err := s.findCounted(ctx, t, rows)
	if err != nil {
		return nil, err
	}
	byUser := map[string]task.Grade{}
	for _, r := range rows {
		byUser[r.Assignment.UserID] = task.Grade{Assignment: r.toAssignment(t, counted), Email: r.Email, Feedback: r.Submission.Feedback}
	}
	grades := make([]task.Grade, 0, len(rows))
	for _, u := range users {
		if g, ok := byUser[u]; ok {
			grades = append(grades, g)
		}
	}
	return grades, nil
}
