// Package store keeps users in MySQL through GORM, with what is read often in Redis.
package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/event"
	"pgo/pkg/outbox"
	"pgo/services/user"
)

// Store implements what package user needs of a database. Safe for concurrent use.
type Store struct {
	db             *gorm.DB
	cache          *cache.Cache
	source         string
	notifyAppended func() // told after a commit that put events into the outbox
}

// New returns a store. Events are said to come from source; appended is called when there are new ones.
func New(db *gorm.DB, c *cache.Cache, source string, appended func()) *Store {
	return &Store{db: db, cache: c, source: source, notifyAppended: appended}
}

// userRow is the table users.
type userRow struct {
	ID            string
	Email         string
	Name          string
	Role          string
	Status        string
	EmailVerified bool
	PasswordHash  string
	Version       int64
	Sequence      int64 // of the last event about this user
	CreatedAt     time.Time
	UpdatedAt     time.Time `gorm:"autoUpdateTime:false"` // the domain says when
}

func (userRow) TableName() string { return "users" }

func (r userRow) toUser() user.User {
	return user.User{
		ID: r.ID, Email: r.Email, Name: r.Name, Role: r.Role, Status: r.Status, EmailVerified: r.EmailVerified,
		Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

func (r userRow) toAccount() *user.Account {
	return &user.Account{User: r.toUser(), PasswordHash: r.PasswordHash}
}

func newUserRow(a *user.Account, sequence int64) userRow {
	return userRow{
		ID: a.ID, Email: a.Email, Name: a.Name, Role: a.Role, Status: a.Status, EmailVerified: a.EmailVerified,
		PasswordHash: a.PasswordHash, Version: a.Version, Sequence: sequence, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
}

func cacheKey(id string) string { return "users:" + id }

// appendEvents writes the account's events to the outbox and returns the sequence of the last.
func (s *Store) appendEvents(ctx context.Context, tx *gorm.DB, a *user.Account, sequence int64) (int64, error) {
	for _, e := range a.Events() {
		sequence++
		ev, err := event.New(ctx, s.source, e.Type, a.ID, sequence, e.Data)
		if err != nil {
			return 0, err
		}
		if err := outbox.Append(ctx, tx.Statement.ConnPool, ev); err != nil {
			return 0, err
		}
	}
	return sequence, nil
}
