package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/pkg/event"
	"pgo/pkg/mysql"
	"pgo/pkg/outbox"
	"pgo/services/school"
)

// tx implements school.Tx. Locks are taken in one order everywhere: the person, the school, its classes by id, then
// rows that belong to them. What is read is locked too, so that it is never from before the school's lock.
type tx struct {
	ctx    context.Context
	db     *gorm.DB
	store  *Store
	school schoolRow
	before int64 // the sequence that the row has
	gone   bool
	after  *after
}

// Create implements school.Writer.
func (s *Store) Create(ctx context.Context, made school.School, owner string) error {
	return s.inTx(ctx, func(db *gorm.DB, later *after) error {
		if err := lockLiving(db, owner); err != nil {
			return err
		}
		t := &tx{ctx: ctx, db: db, store: s, school: schoolRowOf(made, 0), after: later}
		if err := db.Create(&t.school).Error; err != nil {
			return fmt.Errorf("insert school: %w", err)
		}
		if err := t.emit(school.EventCreated, made); err != nil {
			return err
		}
		_, err := t.SetMember(school.Member{SchoolID: made.ID, UserID: owner, Role: school.RoleOwner, CreatedAt: made.CreatedAt, UpdatedAt: made.CreatedAt})
		if err != nil {
			return err
		}
		return t.end()
	})
}

// InSchool implements school.Writer.
func (s *Store) InSchool(ctx context.Context, id string, fn func(school.Tx) error) error {
	return s.inTx(ctx, func(db *gorm.DB, later *after) error { return s.inSchool(ctx, db, later, id, fn) })
}

// Join implements school.Writer.
func (s *Store) Join(ctx context.Context, id, userID string, fn func(school.Tx) error) error {
	return s.inTx(ctx, func(db *gorm.DB, later *after) error {
		if err := lockLiving(db, userID); err != nil {
			return err
		}
		return s.inSchool(ctx, db, later, id, fn)
	})
}

// inSchool locks the school, has fn change it and writes its sequence.
func (s *Store) inSchool(ctx context.Context, db *gorm.DB, later *after, id string, fn func(school.Tx) error) error {
	t, err := s.lockSchool(ctx, db, later, id)
	if err != nil {
		return err
	}
	if err := fn(t); err != nil {
		return err
	}
	return t.end()
}

func (s *Store) lockSchool(ctx context.Context, db *gorm.DB, later *after, id string) (*tx, error) {
	t := &tx{ctx: ctx, db: db, store: s, after: later}
	err := mysql.Found(t.locked().Take(&t.school, "id = ?", id).Error, "lock school")
	t.before = t.school.Sequence
	return t, err
}

func (t *tx) locked() *gorm.DB { return t.db.Clauses(clause.Locking{Strength: "UPDATE"}) }

// end writes the sequence that the transaction's events have brought the school to.
func (t *tx) end() error {
	if t.gone || t.school.Sequence == t.before {
		return nil
	}
	return mysql.OneRow(t.db.Model(&schoolRow{}).Where("id = ?", t.school.ID).UpdateColumn("sequence", t.school.Sequence), "update school's sequence")
}

// School implements school.Tx.
func (t *tx) School() school.School { return t.school.school() }

// SaveSchool implements school.Tx.
func (t *tx) SaveSchool(s school.School) error {
	t.school = schoolRowOf(s, t.school.Sequence)
	if err := mysql.OneRow(t.db.Model(&t.school).Where("id = ?", s.ID).Select("*").Omit("id", "created_at").Updates(&t.school), "update school"); err != nil {
		return err
	}
	return t.emit(school.EventUpdated, s)
}

// DeleteSchool implements school.Tx. What belonged to the school can no longer be reached; Prune removes it, since it
// may be very much.
func (t *tx) DeleteSchool() error {
	id := t.school.ID
	if err := t.emit(school.EventDeleted, school.DeletedData{ID: id}); err != nil {
		return err
	}
	if err := mysql.OneRow(t.db.Where("id = ?", id).Delete(&schoolRow{}), "delete school"); err != nil {
		return err
	}
	if err := t.db.Create(&deletedSchoolRow{SchoolID: id}).Error; err != nil {
		return fmt.Errorf("note deleted school: %w", err)
	}
	t.gone = true
	return nil
}

// emit puts an event about the school into the outbox.
func (t *tx) emit(typ string, data any) error {
	t.school.Sequence++
	return t.append(typ, t.school.ID, t.school.Sequence, data)
}

func (t *tx) append(typ, subject string, sequence int64, data any) error {
	e, err := event.New(t.ctx, t.store.source, typ, subject, sequence, data)
	if err != nil {
		return err
	}
	t.after.events = true
	return outbox.Append(t.ctx, t.db.Statement.ConnPool, e)
}

func (t *tx) later(do func(context.Context)) { t.after.commit = append(t.after.commit, do) }
