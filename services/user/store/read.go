package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/mysql"
	"pgo/pkg/page"
	"pgo/pkg/problem"
	"pgo/services/user"
)

// FindByID implements user.Reader, through the cache.
func (s *Store) FindByID(ctx context.Context, id string) (user.User, error) {
	return cache.Fetch(ctx, s.cache, cacheKey(id), func(ctx context.Context) (user.User, int64, error) {
		var row userRow
		err := mysql.WrapNotFound(s.db.WithContext(ctx).Take(&row, "id = ?", id).Error, "read user")
		return row.toUser(), row.Version, err
	})
}

// FindByEmail implements user.Reader. It bypasses the cache: password hashes stay in the database.
func (s *Store) FindByEmail(ctx context.Context, forms ...string) (*user.Account, error) {
	var rows []userRow
	if err := s.db.WithContext(ctx).Where("email IN ?", forms).Find(&rows).Error; err != nil {
		return nil, mysql.Wrap(err, "read account")
	}
	for _, form := range forms {
		for _, row := range rows {
			if row.Email == form {
				return row.toAccount(), nil
			}
		}
	}
	return nil, problem.NotFound()
}

// FindTokenOwner implements user.Reader.
func (s *Store) FindTokenOwner(ctx context.Context, purpose string, token user.Hash) (user.User, error) {
	db := s.db.WithContext(ctx)
	t, err := findMailToken(db, purpose, token)
	if err != nil {
		return user.User{}, mysql.Classify(err)
	}
	var row userRow
	if err := db.Take(&row, "id = ?", t.UserID).Error; errors.Is(err, gorm.ErrRecordNotFound) {
		return user.User{}, user.ErrTokenExpired
	} else if err != nil {
		return user.User{}, mysql.Wrap(err, "read owner of mail token")
	}
	return row.toUser(), nil
}

// ListUsers implements user.Reader.
func (s *Store) ListUsers(ctx context.Context, f user.UserFilter, p page.Request[user.ListKey]) (page.Page[user.User], error) {
	q := s.db.WithContext(ctx).Model(&userRow{})
	if f.Query != "" {
		// Each half of the UNION reads a range of its own index. An OR would use neither.
		prefix := mysql.LikePrefix(f.Query)
		q = q.Where("id IN (?)", gorm.Expr("SELECT id FROM (SELECT id FROM users WHERE email LIKE ? UNION SELECT id FROM users WHERE name LIKE ?) AS matches", strings.ToLower(prefix), prefix))
	}
	if f.Role != "" {
		q = q.Where("role = ?", f.Role)
	}
	if f.Status != "" {
		q = q.Where("status = ?", f.Status)
	}
	if p.After != nil {
		q = q.Where("id > ?", p.After.ID)
	}
	var rows []userRow
	if err := q.Order("id").Limit(p.Limit + 1).Find(&rows).Error; err != nil {
		return page.Page[user.User]{}, mysql.Wrap(err, "list users")
	}
	return page.New(rows, p.Limit, userRow.toUser, func(u user.User) user.ListKey { return user.ListKey{ID: u.ID} })
}

// EndedSince implements auth.Source.
func (s *Store) EndedSince(ctx context.Context, t time.Time) ([]string, time.Time, error) {
	var now time.Time
	db := s.db.WithContext(ctx)
	if err := db.Raw("SELECT NOW(6)").Scan(&now).Error; err != nil {
		return nil, now, mysql.Wrap(err, "read the database's clock")
	}
	var ids []string
	if err := db.Model(&sessionRow{}).Where("ended_at >= ?", t.UTC()).Pluck("id", &ids).Error; err != nil {
		return nil, now, mysql.Wrap(err, "read ended sessions")
	}
	return ids, now, nil
}
