package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/pkg/mysql"
	"pgo/pkg/page"
	"pgo/pkg/problem"
	"pgo/services/user"
)

// sessionRow is a row of the table sessions. Ended sessions stay until all their access tokens have expired.
type sessionRow struct {
	ID         string
	UserID     string
	CreatedAt  time.Time
	LastUsedAt time.Time
	ExpiresAt  time.Time
	EndedAt    *time.Time // in the database's time
	IP         string     `gorm:"column:ip"`
	UserAgent  string
}

func (sessionRow) TableName() string { return "sessions" }

func (r sessionRow) toSession() user.Session {
	return user.Session{ID: r.ID, UserID: r.UserID, CreatedAt: r.CreatedAt, LastUsedAt: r.LastUsedAt, ExpiresAt: r.ExpiresAt, IP: r.IP, UserAgent: r.UserAgent}
}

// refreshTokenRow is a row of the table refresh_tokens. Spent tokens stay, so that reuse of one is detected.
type refreshTokenRow struct {
	Hash      []byte `gorm:"primaryKey"`
	SessionID string
	CreatedAt time.Time
	SpentAt   *time.Time
}

func (refreshTokenRow) TableName() string { return "refresh_tokens" }

// OpenSession implements user.SessionStore.
func (s *Store) OpenSession(ctx context.Context, session user.Session, passwordHash string, refresh user.Hash) error {
	return mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		// The lock serializes this with changes of the account: no session is opened with an old password hash after a
		// change that ended all sessions.
		u, err := lockUser(tx, session.UserID)
		if errors.Is(err, problem.NotFound()) || err == nil && (u.PasswordHash != passwordHash || u.Status != user.StatusActive) {
			return user.ErrInvalidCredentials
		} else if err != nil {
			return err
		}
		row := sessionRow{
			ID: session.ID, UserID: session.UserID, CreatedAt: session.CreatedAt, LastUsedAt: session.LastUsedAt,
			ExpiresAt: session.ExpiresAt, IP: session.IP, UserAgent: session.UserAgent,
		}
		if err := tx.Create(&row).Error; err != nil {
			return fmt.Errorf("insert session: %w", err)
		}
		return insertRefreshToken(tx, session.ID, refresh, session.CreatedAt)
	})
}

// RotateToken implements user.SessionStore.
func (s *Store) RotateToken(ctx context.Context, old, next user.Hash, expires time.Time) (session user.Session, owner user.User, ended string, err error) {
	var reused bool
	err = mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		reused = false
		var row sessionRow
		err := tx.Joins("JOIN refresh_tokens t ON t.session_id = sessions.id").Take(&row, "t.hash = ?", old[:]).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return user.ErrInvalidRefreshToken
		} else if err != nil {
			return fmt.Errorf("find session: %w", err)
		}
		u, err := lockUser(tx, row.UserID) // the user is locked first everywhere, which prevents deadlocks
		if errors.Is(err, problem.NotFound()) {
			return user.ErrInvalidRefreshToken
		} else if err != nil {
			return err
		}
		spent := tx.Model(&refreshTokenRow{}).Where("hash = ? AND spent_at IS NULL", old[:]).Update("spent_at", gorm.Expr("NOW(6)"))
		if spent.Error != nil {
			return fmt.Errorf("spend refresh token: %w", spent.Error)
		}
		if reused = spent.RowsAffected == 0; reused {
			session = row.toSession()
			_, err := endSessionsWhere(tx, "id = ?", row.ID)
			return err // nil commits the transaction: the session must end
		}
		used := tx.Model(&sessionRow{}).Where("id = ? AND ended_at IS NULL AND expires_at > NOW(6)", row.ID).
			Updates(map[string]any{"last_used_at": gorm.Expr("NOW(6)"), "expires_at": expires})
		if used.Error != nil {
			return fmt.Errorf("update session: %w", used.Error)
		}
		if used.RowsAffected == 0 {
			return user.ErrInvalidRefreshToken
		}
		session, owner = row.toSession(), u.toUser()
		return insertRefreshToken(tx, row.ID, next, time.Now().UTC())
	})
	if err == nil && reused {
		return session, owner, session.ID, user.ErrInvalidRefreshToken
	}
	return session, owner, "", err
}

// EndSession implements user.SessionStore.
func (s *Store) EndSession(ctx context.Context, userID, sessionID string) error {
	return mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		ids, err := endSessionsWhere(tx, "id = ? AND user_id = ? AND expires_at > NOW(6)", sessionID, userID)
		if err == nil && len(ids) == 0 {
			return problem.NotFound()
		}
		return err
	})
}

// ListSessions implements user.SessionLister.
func (s *Store) ListSessions(ctx context.Context, userID string, p page.Request[user.ListKey]) (page.Page[user.Session], error) {
	q := s.db.WithContext(ctx).Where("user_id = ? AND ended_at IS NULL AND expires_at > NOW(6)", userID)
	if p.After != nil {
		q = q.Where("id < ?", p.After.ID)
	}
	var rows []sessionRow
	if err := q.Order("id DESC").Limit(p.Limit + 1).Find(&rows).Error; err != nil {
		return page.Page[user.Session]{}, mysql.Wrap(err, "list sessions")
	}
	return page.New(rows, p.Limit, sessionRow.toSession, func(x user.Session) user.ListKey { return user.ListKey{ID: x.ID} })
}

// endSessions ends the selected open sessions of a user, and returns their ids.
func endSessions(tx *gorm.DB, userID string, selection user.SessionSelection) ([]string, error) {
	if !selection.All {
		return nil, nil
	}
	return endSessionsWhere(tx, "user_id = ? AND id <> ?", userID, selection.Except)
}

// endSessionsWhere ends the open sessions that the condition selects, and returns their ids.
func endSessionsWhere(tx *gorm.DB, where string, args ...any) ([]string, error) {
	var ids []string
	err := tx.Model(&sessionRow{}).Clauses(clause.Locking{Strength: "UPDATE"}).Where(where, args...).Where("ended_at IS NULL").Pluck("id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("lock sessions: %w", err)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if err := tx.Model(&sessionRow{}).Where("id IN ?", ids).Update("ended_at", gorm.Expr("NOW(6)")).Error; err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	return ids, nil
}

// lockUser locks a user's row. It returns not_found if the user does not exist.
func lockUser(tx *gorm.DB, id string) (userRow, error) {
	var u userRow
	err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&u, "id = ?", id).Error
	return u, mysql.WrapNotFound(err, "lock user")
}

func insertRefreshToken(tx *gorm.DB, sessionID string, hash user.Hash, now time.Time) error {
	if err := tx.Create(&refreshTokenRow{Hash: hash[:], SessionID: sessionID, CreatedAt: now}).Error; err != nil {
		return fmt.Errorf("insert refresh token: %w", err)
	}
	return nil
}
