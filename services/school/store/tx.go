package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/pkg/event"
	"pgo/pkg/mysql"
	"pgo/pkg/outbox"
	"pgo/pkg/problem"
	"pgo/services/school"
)

// tx implements school.Tx, and school.View with a database handle outside of a transaction. Locks are taken in the same order
// everywhere: the person, the school, its classes by id, then the rows that belong to them. Reads of a transaction lock too,
// so that they never return data from before the school's lock.
type tx struct {
	ctx            context.Context
	db             *gorm.DB
	store          *Store
	isView         bool // reads without locks
	school         schoolRow
	storedSequence int64 // the sequence in the stored row
	isDeleted      bool
	postCommit     *postCommit
}

// CreateSchool implements school.Writer.
func (s *Store) CreateSchool(ctx context.Context, made school.School, owner string) error {
	return s.inTx(ctx, func(db *gorm.DB, later *postCommit) error {
		if err := lockExistingPerson(db, owner); err != nil {
			return err
		}
		t := &tx{ctx: ctx, db: db, store: s, school: newSchoolRow(made, 0), postCommit: later}
		if err := db.Create(&t.school).Error; err != nil {
			return fmt.Errorf("insert school: %w", err)
		}
		if err := t.emitSchoolEvent(school.EventCreated, made); err != nil {
			return err
		}
		_, err := t.SetMember(school.Member{SchoolID: made.ID, UserID: owner, Role: school.RoleOwner, CreatedAt: made.CreatedAt, UpdatedAt: made.CreatedAt})
		if err != nil {
			return err
		}
		return t.saveSequence()
	})
}

// ChangeSchool implements school.Writer.
func (s *Store) ChangeSchool(ctx context.Context, id string, fn func(school.Tx) error) error {
	return s.inTx(ctx, func(db *gorm.DB, later *postCommit) error {
		return s.changeSchool(ctx, db, later, id, false, func(t *tx) error { return fn(t) })
	})
}

// ChangeArchivedSchool implements school.Writer.
func (s *Store) ChangeArchivedSchool(ctx context.Context, id string, fn func(school.Tx) error) error {
	return s.inTx(ctx, func(db *gorm.DB, later *postCommit) error {
		return s.changeSchool(ctx, db, later, id, true, func(t *tx) error { return fn(t) })
	})
}

// JoinSchool implements school.Writer.
func (s *Store) JoinSchool(ctx context.Context, id, userID string, fn func(school.Tx) error) error {
	return s.inTx(ctx, func(db *gorm.DB, later *postCommit) error {
		if err := lockExistingPerson(db, userID); err != nil {
			return err
		}
		return s.changeSchool(ctx, db, later, id, false, func(t *tx) error { return fn(t) })
	})
}

// changeSchool locks the school, calls fn to change it and writes its sequence. It returns not_found if the school does not
// exist, or is not archived as stated.
func (s *Store) changeSchool(ctx context.Context, db *gorm.DB, later *postCommit, id string, archived bool, fn func(t *tx) error) error {
	t, err := s.lockSchool(ctx, db, later, id)
	if err != nil {
		return err
	}
	if err := t.requireArchived(archived); err != nil {
		return err
	}
	if err := fn(t); err != nil {
		return err
	}
	return t.saveSequence()
}

// ViewSchool implements school.Reader.
func (s *Store) ViewSchool(ctx context.Context, id string, fn func(school.View) error) error {
	return s.viewSchool(ctx, id, false, fn)
}

// ViewArchivedSchool implements school.Reader.
func (s *Store) ViewArchivedSchool(ctx context.Context, id string, fn func(school.View) error) error {
	return s.viewSchool(ctx, id, true, fn)
}

// viewSchool reads a school and calls fn. It returns not_found if the school does not exist, or is not archived as stated.
func (s *Store) viewSchool(ctx context.Context, id string, archived bool, fn func(school.View) error) error {
	t := &tx{ctx: ctx, db: s.db.WithContext(ctx), store: s, isView: true}
	if err := t.readSchool(id); err != nil {
		return err
	}
	if err := t.requireArchived(archived); err != nil {
		return err
	}
	return fn(t)
}

// requireArchived returns not_found unless the school is archived as stated.
func (t *tx) requireArchived(archived bool) error {
	if (t.school.ArchivedAt != nil) != archived {
		return problem.NotFound()
	}
	return nil
}

// lockSchool locks a school. It returns not_found if the school does not exist.
func (s *Store) lockSchool(ctx context.Context, db *gorm.DB, later *postCommit, id string) (*tx, error) {
	t := &tx{ctx: ctx, db: db, store: s, postCommit: later}
	return t, t.readSchool(id)
}

func (t *tx) readSchool(id string) error {
	err := mysql.WrapNotFound(t.rows().Take(&t.school, "id = ?", id).Error, "read school")
	t.storedSequence = t.school.Sequence
	return err
}

// rows returns a query whose rows are locked until the transaction ends, unless the school is only viewed.
func (t *tx) rows() *gorm.DB {
	if t.isView {
		return t.db
	}
	return t.db.Clauses(clause.Locking{Strength: "UPDATE"})
}

// saveSequence writes the school's sequence if the transaction's events advanced it.
func (t *tx) saveSequence() error {
	if t.isDeleted || t.school.Sequence == t.storedSequence {
		return nil
	}
	return mysql.RequireOneRow(t.db.Model(&schoolRow{}).Where("id = ?", t.school.ID).UpdateColumn("sequence", t.school.Sequence), "update school's sequence")
}

// School implements school.View.
func (t *tx) School() school.School { return t.school.toSchool() }

// SaveSchool implements school.Tx.
func (t *tx) SaveSchool(s school.School) error {
	t.school = newSchoolRow(s, t.school.Sequence)
	if err := mysql.RequireOneRow(t.db.Model(&t.school).Where("id = ?", s.ID).Select("*").Omit("id", "created_at").Updates(&t.school), "update school"); err != nil {
		return err
	}
	return t.emitSchoolEvent(school.EventUpdated, s)
}

// deleteSchool deletes the school. What belonged to it can no longer be reached. Prune removes it later, since it may be many
// rows.
func (t *tx) deleteSchool() error {
	id := t.school.ID
	if err := t.emitSchoolEvent(school.EventDeleted, school.DeletedData{ID: id}); err != nil {
		return err
	}
	if err := mysql.RequireOneRow(t.db.Where("id = ?", id).Delete(&schoolRow{}), "delete school"); err != nil {
		return err
	}
	if err := t.db.Create(&deletedSchoolRow{SchoolID: id}).Error; err != nil {
		return fmt.Errorf("record deleted school: %w", err)
	}
	t.isDeleted = true
	return nil
}

// emitSchoolEvent puts an event about the school into the outbox and advances the school's sequence.
func (t *tx) emitSchoolEvent(typ string, data any) error {
	t.school.Sequence++
	return t.appendEvent(typ, t.school.ID, t.school.Sequence, data)
}

func (t *tx) appendEvent(typ, subject string, sequence int64, data any) error {
	e, err := event.New(t.ctx, t.store.source, typ, subject, sequence, data)
	if err != nil {
		return err
	}
	t.postCommit.hasEvents = true
	return outbox.Append(t.ctx, t.db.Statement.ConnPool, e)
}

func (t *tx) runAfterCommit(do func(context.Context)) {
	t.postCommit.actions = append(t.postCommit.actions, do)
}
