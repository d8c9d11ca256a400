package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/pkg/cache"
	"pgo/pkg/mysql"
	"pgo/services/user"
)

// CreateAccount implements user.Writer.
func (s *Store) CreateAccount(ctx context.Context, a *user.Account) error {
	err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		row := newUserRow(a, int64(len(a.Events())))
		if err := tx.Create(&row).Error; errors.Is(err, gorm.ErrDuplicatedKey) {
			return user.ErrEmailTaken
		} else if err != nil {
			return fmt.Errorf("insert user: %w", err)
		}
		_, err := s.appendEvents(ctx, tx, a, 0)
		return err
	})
	if err == nil {
		s.notifyAppended()
	}
	return err
}

// ChangeAccount implements user.Writer.
func (s *Store) ChangeAccount(ctx context.Context, id string, fn func(*user.Account) error) (user.User, []string, error) {
	return s.runChange(ctx, func(tx *gorm.DB) (*user.Account, []string, error) { return s.changeLocked(ctx, tx, id, fn) })
}

// RedeemToken implements user.Writer.
func (s *Store) RedeemToken(ctx context.Context, purpose string, token user.Hash, fn func(*user.Account) error) (user.User, []string, error) {
	return s.runChange(ctx, func(tx *gorm.DB) (*user.Account, []string, error) {
		t, err := findMailToken(tx, purpose, token)
		if err != nil {
			return nil, nil, err
		}
		return s.changeLocked(ctx, tx, t.UserID, func(a *user.Account) error {
			// The account is locked: of two concurrent requests with the token, one finds it spent. The user's other
			// tokens for the same purpose are spent too.
			spent := tx.Where("user_id = ? AND purpose = ?", t.UserID, purpose).Delete(&mailTokenRow{})
			if spent.Error != nil {
				return fmt.Errorf("spend mail token: %w", spent.Error)
			}
			if spent.RowsAffected == 0 {
				return user.ErrTokenExpired
			}
			return fn(a)
		})
	})
}

// runChange runs fn in a transaction. After the commit it updates the cache and reports new events.
func (s *Store) runChange(ctx context.Context, fn func(tx *gorm.DB) (*user.Account, []string, error)) (user.User, []string, error) {
	var a *user.Account
	var ended []string
	err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		var err error
		a, ended, err = fn(tx)
		return err
	})
	if err != nil {
		return user.User{}, nil, err
	}
	switch {
	case a.IsDeleted():
		s.cache.Delete(ctx, cacheKey(a.User.ID))
	case a.IsChanged():
		cache.Put(ctx, s.cache, cacheKey(a.User.ID), a.User.Version, a.User)
	}
	if len(a.Events()) > 0 {
		s.notifyAppended()
	}
	return a.User, ended, nil
}

// changeLocked locks the account, calls fn to change it and writes the changes. It returns the account and the ids of the
// sessions that it ended.
func (s *Store) changeLocked(ctx context.Context, tx *gorm.DB, id string, fn func(*user.Account) error) (*user.Account, []string, error) {
	var row userRow
	if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row, "id = ?", id).Error; err != nil {
		return nil, nil, mysql.WrapNotFound(err, "lock user")
	}
	a := row.toAccount()
	if err := fn(a); err != nil {
		return nil, nil, err
	}
	if a.LosesAdmin(row.toUser()) {
		if err := requireOtherAdmin(tx, id); err != nil {
			return nil, nil, err
		}
	}
	ended, err := endSessions(tx, id, a.SessionsToEnd())
	if err != nil {
		return nil, nil, err
	}
	sequence, err := s.appendEvents(ctx, tx, a, row.Sequence)
	if err != nil {
		return nil, nil, err
	}
	if a.IsDeleted() {
		return a, ended, deleteUser(tx, id)
	}
	if a.PasswordHash != row.PasswordHash {
		// A reset that was requested before must not change the new password.
		if err := tx.Where("user_id = ? AND purpose = ?", id, user.PurposeReset).Delete(&mailTokenRow{}).Error; err != nil {
			return nil, nil, fmt.Errorf("delete reset tokens: %w", err)
		}
	}
	if a.IsChanged() || sequence != row.Sequence {
		if err := saveUser(tx, newUserRow(a, sequence)); err != nil {
			return nil, nil, err
		}
	}
	return a, ended, nil
}

// requireOtherAdmin returns user.ErrLastAdmin unless there is another active admin. It locks all admins, so that of two
// transactions that remove the last two, the second sees the effect of the first.
func requireOtherAdmin(tx *gorm.DB, id string) error {
	var ids []string
	err := tx.Model(&userRow{}).Clauses(clause.Locking{Strength: "UPDATE"}).Where("role = ? AND status = ?", user.RoleAdmin, user.StatusActive).Order("id").Pluck("id", &ids).Error
	if err != nil {
		return fmt.Errorf("lock admins: %w", err)
	}
	for _, other := range ids {
		if other != id {
			return nil
		}
	}
	return user.ErrLastAdmin
}

func saveUser(tx *gorm.DB, row userRow) error {
	res := tx.Model(&row).Where("id = ?", row.ID).Select("*").Omit("id", "created_at").Updates(&row)
	if res.Error != nil {
		return fmt.Errorf("update user: %w", res.Error)
	}
	if res.RowsAffected != 1 {
		return fmt.Errorf("update user: %d rows instead of 1", res.RowsAffected)
	}
	return nil
}

// deleteUser deletes the user with their mail tokens and requests. Sessions stay until their access tokens have expired.
func deleteUser(tx *gorm.DB, id string) error {
	for what, row := range map[string]any{"tokens": &mailTokenRow{}, "requests": &mailRequestRow{}} {
		if err := tx.Where("user_id = ?", id).Delete(row).Error; err != nil {
			return fmt.Errorf("delete mail %s: %w", what, err)
		}
	}
	if err := tx.Where("id = ?", id).Delete(&userRow{}).Error; err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}
