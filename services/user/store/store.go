// Package store keeps users in MySQL through GORM, and caches in Redis what is read often.
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

// Store implements user.Reader, Writer, SessionStore, SessionLister, ResetStore and MailStore, and auth.Source. It is safe for
// concurrent use.
type Store struct {
	db             *gorm.DB
	cache          *cache.Cache
	source         string
	notifyAppended func() // called after a commit that put events into the outbox
}

// New returns a store. Its events carry source as their source. It calls notifyAppended after each commit that put
// events into the outbox.
func New(db *gorm.DB, c *cache.Cache, source string, notifyAppended func()) *Store {
	return &Store{db: db, cache: c, source: source, notifyAppended: notifyAppended}
}

// userRow is a row of the table users.
type userRow struct {
	ID            string
	Email         string
	Name          string
	Role          string
	Status        string
	EmailVerified bool
	Language      string
	PasswordHash  string
	Version       int64
	Sequence      int64 // of the last event about this user
	CreatedAt     time.Time
	UpdatedAt     time.Time `gorm:"autoUpdateTime:false"` // set by the domain
}

func (userRow) TableName() string { return "users" }

func (r userRow) toUser() user.User {
	return user.User{
		ID: r.ID, Email: r.Email, Name: r.Name, Role: r.Role, Status: r.Status, EmailVerified: r.EmailVerified, Language: r.Language,
		Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

func (r userRow) toAccount() *user.Account {
	return &user.Account{User: r.toUser(), PasswordHash: r.PasswordHash}
}

func newUserRow(a *user.Account, sequence int64) userRow {
	return userRow{
		ID: a.User.ID, Email: a.User.Email, Name: a.User.Name, Role: a.User.Role, Status: a.User.Status, EmailVerified: a.User.EmailVerified, Language: a.User.Language,
		PasswordHash: a.PasswordHash, Version: a.User.Version, Sequence: sequence, CreatedAt: a.User.CreatedAt, UpdatedAt: a.User.UpdatedAt,
	}
}

func cacheKey(id string) string { return "users:" + id }

// appendEvents puts the account's events into the outbox, numbered from sequence+1, and returns the last number. It drops
// requests for mails that the account may not get.
func (s *Store) appendEvents(ctx context.Context, tx *gorm.DB, a *user.Account, sequence int64) (int64, error) {
	if err := dropExcessMails(tx, a); err != nil {
		return 0, err
	}
	for _, e := range a.Events() {
		sequence++
		ev, err := event.New(ctx, s.source, e.Type, a.User.ID, sequence, e.Data)
		if err != nil {
			return 0, err
		}
		if err := outbox.Append(ctx, tx.Statement.ConnPool, ev); err != nil {
			return 0, err
		}
	}
	return sequence, nil
}

func dropExcessMails(tx *gorm.DB, a *user.Account) (err error) {
	a.KeepEvents(func(e user.Event) bool {
		data, isMail := e.Data.(user.MailRequestedData)
		if !isMail || err != nil {
			return true
		}
		var isAdmitted bool
		isAdmitted, err = admitMail(tx, a.User.ID, data.Purpose)
		return isAdmitted
	})
	return err
}
