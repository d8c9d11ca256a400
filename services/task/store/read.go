package store

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"pgo/pkg/mysql"
	"pgo/services/task"
)

// Role implements task.Reader.
func (s *Store) Role(ctx context.Context, classID, userID string) (string, error) {
	var m classMemberRow
	err := s.db.WithContext(ctx).Joins("JOIN view_classes c ON c.id = view_class_members.class_id AND c.deleted = FALSE").
		Take(&m, "class_id = ? AND user_id = ? AND removed = FALSE", classID, userID).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return "", nil
	}
	return m.Role, mysql.Found(err, "read role")
}

// standingRow is a task with what somebody has to do with it.
type standingRow struct {
	Task     taskRow `gorm:"embedded"`
	Role     string
	Assigned bool
}

// Standing implements task.Reader.
func (s *Store) Standing(ctx context.Context, taskID, userID string) (task.Standing, error) {
	var rows []standingRow
	err := s.db.WithContext(ctx).Raw(`SELECT t.*, COALESCE(m.role, '') AS role, a.user_id IS NOT NULL AS assigned FROM tasks t
		JOIN view_classes c ON c.id = t.class_id AND c.deleted = FALSE
		LEFT JOIN view_class_members m ON m.class_id = t.class_id AND m.user_id = ? AND m.removed = FALSE
		LEFT JOIN assignments a ON a.task_id = t.id AND a.user_id = ?
		WHERE t.id = ?`, userID, userID, taskID).Find(&rows).Error
	if err == nil && len(rows) == 0 {
		err = gorm.ErrRecordNotFound
	}
	if err != nil {
		return task.Standing{}, mysql.Found(err, "read task")
	}
	return task.Standing{Task: rows[0].Task.task(), Role: rows[0].Role, Assigned: rows[0].Assigned}, nil
}
