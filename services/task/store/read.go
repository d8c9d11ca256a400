package store

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"pgo/pkg/mysql"
	"pgo/services/task"
)

// visibleClass is a table of the classes that are neither deleted nor archived, nor are their schools, as c.
const visibleClass = `(view_classes c JOIN view_schools cs ON cs.id = c.school_id AND cs.archived = FALSE AND c.archived = FALSE AND c.deleted = FALSE)`

// FindClassRole implements task.Reader.
func (s *Store) FindClassRole(ctx context.Context, classID, userID string) (string, error) {
	var m classMemberRow
	err := s.db.WithContext(ctx).Joins("JOIN "+visibleClass+" ON c.id = view_class_members.class_id").
		Take(&m, "class_id = ? AND user_id = ? AND removed = FALSE", classID, userID).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return "", nil
	}
	return m.Role, mysql.WrapNotFound(err, "read role")
}

// permissionsRow is a task row joined with a person's relation to the task.
type permissionsRow struct {
	Task     taskRow `gorm:"embedded"`
	Role     string
	Assigned bool
	OldWork  bool
	Timezone *string
}

// FindPermissions implements task.Reader.
func (s *Store) FindPermissions(ctx context.Context, taskID, userID string) (task.Permissions, error) {
	var rows []permissionsRow
	err := s.db.WithContext(ctx).Raw(`SELECT t.*, COALESCE(m.role, '') AS role, a.user_id IS NOT NULL AS assigned,
			COALESCE(a.status <> 'assigned', FALSE) AND s.user_id IS NOT NULL AS old_work, cs.timezone FROM tasks t
		JOIN `+visibleClass+` ON c.id = t.class_id
		LEFT JOIN view_class_members m ON m.class_id = t.class_id AND m.user_id = ? AND m.removed = FALSE
		LEFT JOIN assignments a ON a.task_id = t.id AND a.user_id = ?
		LEFT JOIN view_school_members s ON s.school_id = c.school_id AND s.user_id = ? AND s.removed = FALSE
		WHERE t.id = ?`, userID, userID, userID, taskID).Find(&rows).Error
	if err == nil && len(rows) == 0 {
		err = gorm.ErrRecordNotFound
	}
	if err != nil {
		return task.Permissions{}, mysql.WrapNotFound(err, "read task")
	}
	return task.Permissions{Task: rows[0].Task.toTask(), Role: rows[0].Role, IsAssigned: rows[0].Assigned, HasOldWork: rows[0].OldWork, Timezone: emptyIfNull(rows[0].Timezone)}, nil
}
