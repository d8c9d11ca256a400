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
	Hash          []byte `gorm:"primaryKey"`
	SessionID     string
	CreatedAt     time.Time
	SpentAt       *time.Time
	SuccessorSalt []byte // with which the successor is derived from the token itself; null until it is spent
	SpentBy       []byte // the hash of the client that spent the token
}

func (refreshTokenRow) TableName() string { return "refresh_tokens" }

// OpenSession implements user.SessionStore.
func (s *Store) OpenSession(ctx context.Context, session user.Session, passwordHash string, refresh user.Hash, isKnownDevice bool) error {
	var hasEvents bool
	err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		hasEvents = false
		// The lock serializes this with changes of the account: no session is opened with an old password hash after a
		// change that ended all sessions.
		u, err := lockUser(tx, session.UserID)
		if errors.Is(err, problem.NotFound()) || err == nil && (u.PasswordHash != passwordHash || u.Status != user.StatusActive) {
			return user.ErrInvalidCredentials
		} else if err != nil {
			return err
		}
		if !isKnownDevice {
			if hasEvents, err = s.announceDevice(ctx, tx, u, session); err != nil {
				return err
			}
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
	if err == nil && hasEvents {
		s.notifyAppended()
	}
	return err
}

// announceDevice requests a mail about the session's device, unless the account has a session with the same address and
// program, or is new: younger than a day and without any session.
func (s *Store) announceDevice(ctx context.Context, tx *gorm.DB, u userRow, session user.Session) (hasEvents bool, err error) {
	var found struct{ Sessions, SimilarOnes int64 }
	err = tx.Model(&sessionRow{}).Where("user_id = ?", u.ID).
		Select("COUNT(*) AS sessions, COALESCE(SUM(ip = ? AND user_agent = ?), 0) AS similar_ones", session.IP, session.UserAgent).Scan(&found).Error
	if err != nil {
		return false, fmt.Errorf("look for sessions of the device: %w", err)
	}
	if isNew := found.Sessions == 0 && session.CreatedAt.Sub(u.CreatedAt) < 24*time.Hour; isNew || found.SimilarOnes > 0 {
		return false, nil
	}
	a := u.toAccount()
	a.AnnounceNewDevice()
	sequence, err := s.appendEvents(ctx, tx, a, u.Sequence)
	if err != nil || sequence == u.Sequence {
		return false, err
	}
	return true, saveUser(tx, newUserRow(a, sequence))
}

// RotateToken implements user.SessionStore.
func (s *Store) RotateToken(ctx context.Context, r user.Rotation) (rotated user.Rotated, err error) {
	var isReused bool
	err = mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		isReused, rotated = false, user.Rotated{}
		var row sessionRow
		err := tx.Joins("JOIN refresh_tokens t ON t.session_id = sessions.id").Take(&row, "t.hash = ?", r.Token[:]).Error
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
		rotated = user.Rotated{Session: row.toSession(), User: u.toUser(), Salt: r.Salt}
		successor := r.Successor(r.Salt)
		spent := tx.Model(&refreshTokenRow{}).Where("hash = ? AND spent_at IS NULL", r.Token[:]).
			Updates(map[string]any{"spent_at": gorm.Expr("NOW(6)"), "successor_salt": r.Salt[:], "spent_by": r.Client[:]})
		if spent.Error != nil {
			return fmt.Errorf("spend refresh token: %w", spent.Error)
		}
		if spent.RowsAffected == 0 {
			if rotated.Salt, isReused, err = findSuccessor(tx, r); err != nil {
				return err
			}
			if isReused {
				_, err := endSessionsWhere(tx, "id = ?", row.ID)
				return err // nil commits the transaction: the session must end
			}
		} else if err := insertRefreshToken(tx, row.ID, successor, time.Now().UTC()); err != nil {
			return err
		}
		if err := extendSession(tx, row.ID, r.ExpiresAt); err != nil {
			return err
		}
		return readSpentAt(tx, r.Token, &rotated.SpentAt)
	})
	switch {
	case err != nil:
		return user.Rotated{}, err
	case isReused:
		return user.Rotated{Ended: rotated.Session.ID}, user.ErrInvalidRefreshToken
	}
	return rotated, nil
}

// findSuccessor returns the salt of the successor of a spent token, if the rotation may be answered with it again. isReused
// is true if it may not: the grace period is over, another client spent the token, or the successor was spent. It reads
// with a lock, to see what a concurrent rotation has committed.
func findSuccessor(tx *gorm.DB, r user.Rotation) (salt user.Salt, isReused bool, err error) {
	var old refreshTokenRow
	err = tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("hash = ? AND spent_by = ? AND successor_salt IS NOT NULL", r.Token[:], r.Client[:]).
		Where("spent_at > NOW(6) - INTERVAL ? MICROSECOND", r.Grace.Microseconds()).Take(&old).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return salt, true, nil
	} else if err != nil {
		return salt, false, fmt.Errorf("read spent refresh token: %w", err)
	}
	copy(salt[:], old.SuccessorSalt)
	successor := r.Successor(salt)
	var next refreshTokenRow
	err = tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&next, "hash = ? AND spent_at IS NULL", successor[:]).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return salt, true, nil
	} else if err != nil {
		return salt, false, fmt.Errorf("read successor of refresh token: %w", err)
	}
	return salt, false, nil
}

// extendSession moves the session's expiry. It returns ErrInvalidRefreshToken if the session has ended or expired.
func extendSession(tx *gorm.DB, id string, expires time.Time) error {
	used := tx.Model(&sessionRow{}).Where("id = ? AND ended_at IS NULL AND expires_at > NOW(6)", id).
		Updates(map[string]any{"last_used_at": gorm.Expr("NOW(6)"), "expires_at": expires})
	if used.Error != nil {
		return fmt.Errorf("update session: %w", used.Error)
	}
	if used.RowsAffected == 0 {
		return user.ErrInvalidRefreshToken
	}
	return nil
}

func readSpentAt(tx *gorm.DB, token user.Hash, at *time.Time) error {
	if err := tx.Model(&refreshTokenRow{}).Clauses(clause.Locking{Strength: "UPDATE"}).Where("hash = ?", token[:]).Select("spent_at").Scan(at).Error; err != nil {
		return fmt.Errorf("read when the refresh token was spent: %w", err)
	}
	return nil
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
