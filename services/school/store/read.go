package store

import (
	"context"
	"errors"

	"pgo/pkg/cache"
	"pgo/pkg/mysql"
	"pgo/pkg/problem"
	"pgo/services/school"
)

// FindSchool implements school.Reader. It bypasses the cache, since the role decides what the person may do.
func (s *Store) FindSchool(ctx context.Context, id, userID string) (school.School, string, error) {
	var row schoolWithRoleRow
	err := mysql.WrapNotFound(s.db.WithContext(ctx).Table("schools s").Select("s.*, COALESCE(m.role, '') AS my_role").
		Joins("LEFT JOIN school_members m ON m.school_id = s.id AND m.user_id = ?", userID).Where("s.id = ? AND s.archived_at IS NULL", id).Take(&row).Error, "read school")
	return row.School.toSchool(), row.MyRole, err
}

// FindClass implements school.Reader, through the cache.
func (s *Store) FindClass(ctx context.Context, id string) (school.Class, error) {
	return cache.Fetch(ctx, s.cache, classKey(id), func(ctx context.Context) (school.Class, int64, error) {
		var row classRow
		err := mysql.WrapNotFound(s.db.WithContext(ctx).Take(&row, "id = ?", id).Error, "read class")
		return row.toClass(), row.Version, err
	})
}

// FindClassRole implements school.Reader.
func (s *Store) FindClassRole(ctx context.Context, classID, userID string) (string, error) {
	var row classMemberRow
	err := mysql.WrapNotFound(s.db.WithContext(ctx).Take(&row, "class_id = ? AND user_id = ?", classID, userID).Error, "read class member")
	if errors.Is(err, problem.NotFound()) {
		return "", nil
	}
	return row.Role, err
}

// FindInviteSchool implements school.Reader.
func (s *Store) FindInviteSchool(ctx context.Context, code string) (string, error) {
	var row inviteRow
	err := mysql.WrapNotFound(s.db.WithContext(ctx).Take(&row, "code = ?", code).Error, "find invite")
	return row.SchoolID, err
}
