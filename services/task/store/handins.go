package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"pgo/pkg/mysql"
	"pgo/pkg/page"
	"pgo/pkg/problem"
	"pgo/services/task"
)

// handInRow is a row of the table hand_ins: a hand-in that a later one has replaced. The last hand-in is not among them.
type handInRow struct {
	TaskID      string
	UserID      string
	Number      int
	Content     string
	SubmittedAt time.Time
}

func (handInRow) TableName() string { return "hand_ins" }

// insertHandIn keeps a hand-in that is being replaced.
func insertHandIn(tx *gorm.DB, taskID, userID string, h task.HandInContent) error {
	row := handInRow{TaskID: taskID, UserID: userID, Number: h.Number, Content: h.Content, SubmittedAt: h.SubmittedAt}
	if err := tx.Create(&row).Error; err != nil {
		return fmt.Errorf("insert hand-in: %w", err)
	}
	return nil
}

// findCountedHandIns returns, by user id, the former hand-ins that count in place of the last ones of these assignments.
func findCountedHandIns(db *gorm.DB, t task.Task, assignments ...assignmentRow) (map[string]handInRow, error) {
	var users []string
	for _, a := range assignments {
		if a.mayCountFormer(t) {
			users = append(users, a.UserID)
		}
	}
	if len(users) == 0 {
		return nil, nil
	}
	var rows []handInRow
	err := db.Raw(`SELECT h.* FROM hand_ins h JOIN (
			SELECT f.user_id, COALESCE(a.graded_number, MAX(f.number)) AS number FROM hand_ins f JOIN assignments a ON a.task_id = f.task_id AND a.user_id = f.user_id
			WHERE f.task_id = ? AND f.user_id IN ? AND (a.graded_number IS NOT NULL OR f.submitted_at <= GREATEST(?, COALESCE(a.extended_due_at, ?)))
			GROUP BY f.user_id, a.graded_number
		) c ON c.user_id = h.user_id AND c.number = h.number WHERE h.task_id = ?`, t.ID, users, t.DueAt, t.DueAt, t.ID).Find(&rows).Error
	if err != nil {
		return nil, mysql.Wrap(err, "read the hand-ins that count")
	}
	counted := map[string]handInRow{}
	for _, r := range rows {
		counted[r.UserID] = r
	}
	return counted, nil
}

// showHandIn replaces the last hand-in of a submission by the former one that counts.
func showHandIn(s *task.Submission, counted handInRow) {
	at := counted.SubmittedAt
	s.Content, s.Number, s.CountedNumber, s.SubmittedAt = counted.Content, counted.Number, counted.Number, &at
}

// findSubmissionRow returns the rows of a submission, and its last hand-in with the number of the one that counts.
func (s *Store) findSubmissionRow(ctx context.Context, t task.Task, userID string) (namedAssignmentRow, map[string]handInRow, error) {
	var row namedAssignmentRow
	db := s.db.WithContext(ctx)
	err := db.Table("assignments a").Select("a.*, s.content AS sub_content, s.feedback AS sub_feedback, s.updated_at AS sub_updated_at").
		Joins("JOIN submissions s ON s.task_id = a.task_id AND s.user_id = a.user_id").
		Where("a.task_id = ? AND a.user_id = ?", t.ID, userID).Take(&row).Error
	if err != nil {
		return row, nil, mysql.WrapNotFound(err, "read submission")
	}
	counted, err := findCountedHandIns(db, t, row.Assignment)
	return row, counted, err
}

// FindSubmission implements task.SubmissionReader.
func (s *Store) FindSubmission(ctx context.Context, t task.Task, userID string) (task.Submission, error) {
	row, counted, err := s.findSubmissionRow(ctx, t, userID)
	sub := row.Assignment.toSubmission(t, row.Submission)
	if h, ok := counted[userID]; ok {
		sub.CountedNumber = h.Number
	}
	return sub, err
}

// FindCountedSubmission implements task.SubmissionReader.
func (s *Store) FindCountedSubmission(ctx context.Context, t task.Task, userID string) (task.Submission, error) {
	row, counted, err := s.findSubmissionRow(ctx, t, userID)
	sub := row.Assignment.toSubmission(t, row.Submission)
	if h, ok := counted[userID]; ok {
		showHandIn(&sub, h)
	}
	return sub, err
}

// ListHandIns implements task.SubmissionReader.
func (s *Store) ListHandIns(ctx context.Context, t task.Task, userID string, p page.Request[task.HandInKey]) (page.Page[task.HandIn], error) {
	none := page.Page[task.HandIn]{Items: []task.HandIn{}}
	last, err := s.FindSubmission(ctx, t, userID)
	if errors.Is(err, problem.NotFound()) {
		return none, nil
	} else if err != nil {
		return none, err
	}
	after := 0
	if p.After != nil {
		after = p.After.Number
	}
	var rows []handInRow
	err = s.db.WithContext(ctx).Select("number, submitted_at").Where("task_id = ? AND user_id = ? AND number > ?", t.ID, userID, after).Order("number").Limit(p.Limit + 1).Find(&rows).Error
	if err != nil {
		return none, mysql.Wrap(err, "list hand-ins")
	}
	if last.HandIns > after && len(rows) <= p.Limit {
		rows = append(rows, handInRow{Number: last.HandIns, SubmittedAt: *last.SubmittedAt})
	}
	return page.New(rows, p.Limit, func(r handInRow) task.HandIn { return newHandIn(last, r) }, func(h task.HandIn) task.HandInKey { return task.HandInKey{Number: h.Number} })
}

func newHandIn(s task.Submission, r handInRow) task.HandIn {
	return task.HandIn{Number: r.Number, SubmittedAt: r.SubmittedAt, Late: r.SubmittedAt.After(s.DueAt), Counts: r.Number == s.CountedNumber}
}

// FindHandIn implements task.SubmissionReader.
func (s *Store) FindHandIn(ctx context.Context, t task.Task, userID string, number int) (task.HandInContent, error) {
	last, err := s.FindSubmission(ctx, t, userID)
	if err != nil {
		return task.HandInContent{}, err
	}
	var row handInRow
	if number == last.HandIns && number > 0 {
		row = handInRow{Number: number, Content: last.Content, SubmittedAt: *last.SubmittedAt}
	} else if err := s.db.WithContext(ctx).Take(&row, "task_id = ? AND user_id = ? AND number = ?", t.ID, userID, number).Error; err != nil {
		return task.HandInContent{}, mysql.WrapNotFound(err, "read hand-in")
	}
	return task.HandInContent{HandIn: newHandIn(last, row), Content: row.Content}, nil
}
