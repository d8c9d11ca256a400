// Package store keeps schools in MySQL through GORM, and caches classes in Redis, since every call about a class reads
// it. Data that decides about access is read from MySQL alone.
package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/mysql"
	"pgo/services/school"
)

// Store implements school.Reader, Lister, Writer and PeopleStore. It is safe for concurrent use.
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

// schoolRow is a row of the table schools. Its lock protects everything that belongs to the school.
type schoolRow struct {
	ID        string
	Name      string
	Timezone  string
	Ownerless bool
	Version   int64
	Sequence  int64 // of the last event about the school or its members
	CreatedAt time.Time
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"` // set by the domain

	ArchivedAt *time.Time
}

func (schoolRow) TableName() string { return "schools" }

func (r schoolRow) toSchool() school.School {
	return school.School{
		ID: r.ID, Name: r.Name, Timezone: r.Timezone, Ownerless: r.Ownerless, Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		ArchivedAt: r.ArchivedAt,
	}
}

func newSchoolRow(s school.School, sequence int64) schoolRow {
	return schoolRow{
		ID: s.ID, Name: s.Name, Timezone: s.Timezone, Ownerless: s.Ownerless, Version: s.Version, Sequence: sequence,
		CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, ArchivedAt: s.ArchivedAt,
	}
}

// memberRow is a row of the table school_members. Name is "" while it is not known. Version is the school's sequence at
// the last change of the membership, so that it also grows when a person leaves and joins again.
type memberRow struct {
	SchoolID  string `gorm:"primaryKey"`
	UserID    string `gorm:"primaryKey"`
	Role      string
	RoleSince time.Time
	Name      string
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`
}

func (memberRow) TableName() string { return "school_members" }

func (r memberRow) toMember() school.Member {
	return school.Member{
		SchoolID: r.SchoolID, UserID: r.UserID, Name: nilIfEmpty(r.Name), Role: r.Role, Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

// classRow is a row of the table classes.
type classRow struct {
	ID        string
	SchoolID  string
	Name      string
	Grade     string
	Version   int64
	Sequence  int64 // of the last event about the class or its members
	CreatedAt time.Time
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`

	ArchivedAt *time.Time
}

func (classRow) TableName() string { return "classes" }

func (r classRow) toClass() school.Class {
	return school.Class{
		ID: r.ID, SchoolID: r.SchoolID, Name: r.Name, Grade: r.Grade, Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, ArchivedAt: r.ArchivedAt,
	}
}

func newClassRow(c school.Class, sequence int64) classRow {
	return classRow{
		ID: c.ID, SchoolID: c.SchoolID, Name: c.Name, Grade: c.Grade, Version: c.Version, Sequence: sequence, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		ArchivedAt: c.ArchivedAt,
	}
}

// classMemberRow is a row of the table class_members. Name and Version are as in memberRow, with the class's sequence.
type classMemberRow struct {
	ClassID   string `gorm:"primaryKey"`
	UserID    string `gorm:"primaryKey"`
	SchoolID  string
	Role      string
	Name      string
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`
}

func (classMemberRow) TableName() string { return "class_members" }

func (r classMemberRow) toClassMember() school.ClassMember {
	return school.ClassMember{
		ClassID: r.ClassID, SchoolID: r.SchoolID, UserID: r.UserID, Name: nilIfEmpty(r.Name), Role: r.Role, Version: r.Version,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

// inviteRow is a row of the table invites.
type inviteRow struct {
	ID        string
	Code      string
	SchoolID  string
	Role      string
	MaxUses   int
	Uses      int
	ExpiresAt time.Time
	CreatedBy string
	CreatedAt time.Time
}

func (inviteRow) TableName() string { return "invites" }

func (r inviteRow) toInvite() school.Invite { return school.Invite(r) }

// personRow is a row of the table people.
type personRow struct {
	UserID   string `gorm:"primaryKey"`
	Name     string
	Deleted  bool
	Sequence int64 // of the last event about the person; 0 before the first
}

func (personRow) TableName() string { return "people" }

// nilIfEmpty returns a pointer to name, nil if it is empty because it is not known.
func nilIfEmpty(name string) *string {
	if name == "" {
		return nil
	}
	return &name
}

func classKey(id string) string { return "classes:" + id }

// inTx runs fn in a transaction. After the commit it runs the actions that fn registered and reports new events. The
// isolation level is READ COMMITTED, which takes no gap locks: the school's lock already protects what belongs to it, and
// concurrent creators of schools, whose rows all go into the last gap, would deadlock.
func (s *Store) inTx(ctx context.Context, fn func(tx *gorm.DB, later *postCommit) error) error {
	var later postCommit
	err := mysql.InTxReadCommitted(ctx, s.db, func(tx *gorm.DB) error {
		later = postCommit{} // only of the last attempt
		return fn(tx, &later)
	})
	if err != nil {
		return err
	}
	for _, do := range later.actions {
		do(ctx)
	}
	if later.hasEvents {
		s.notifyAppended()
	}
	return nil
}

// postCommit holds what is done after a commit.
type postCommit struct {
	actions   []func(context.Context) // updates of the cache
	hasEvents bool
}
