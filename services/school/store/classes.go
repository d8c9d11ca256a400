package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm/clause"

	"pgo/pkg/cache"
	"pgo/pkg/mysql"
	"pgo/pkg/problem"
	"pgo/services/school"
)

// FindClass implements school.View.
func (t *tx) FindClass(id string) (school.Class, error) {
	row, err := t.findClassRow(id)
	return row.toClass(), err
}

func (t *tx) findClassRow(id string) (classRow, error) {
	var row classRow
	err := t.rows().Take(&row, "id = ? AND school_id = ?", id, t.school.ID).Error
	return row, mysql.WrapNotFound(err, "read class")
}

// AddClass implements school.Tx.
func (t *tx) AddClass(c school.Class) error {
	row := newClassRow(c, 1)
	if err := t.db.Create(&row).Error; err != nil {
		return fmt.Errorf("insert class: %w", err)
	}
	t.cacheClass(c)
	return t.appendEvent(school.EventClassCreated, c.ID, row.Sequence, c)
}

// SaveClass implements school.Tx.
func (t *tx) SaveClass(c school.Class) error {
	sequence, err := t.emitClassEvent(c.ID, school.EventClassUpdated, c)
	if err != nil {
		return err
	}
	row := newClassRow(c, sequence)
	t.cacheClass(c)
	return mysql.RequireOneRow(t.db.Model(&row).Where("id = ?", c.ID).Select("*").Omit("id", "school_id", "created_at").Updates(&row), "update class")
}

// deleteClass deletes a class with its memberships.
func (t *tx) deleteClass(c school.Class) error {
	if _, err := t.emitClassEvent(c.ID, school.EventClassDeleted, school.ClassDeletedData{ID: c.ID, SchoolID: c.SchoolID}); err != nil {
		return err
	}
	if err := t.db.Where("class_id = ?", c.ID).Delete(&classMemberRow{}).Error; err != nil {
		return fmt.Errorf("delete class members: %w", err)
	}
	t.runAfterCommit(func(ctx context.Context) { t.store.cache.Delete(ctx, classKey(c.ID)) })
	return mysql.RequireOneRow(t.db.Where("id = ?", c.ID).Delete(&classRow{}), "delete class")
}

// FindClassMember implements school.View.
func (t *tx) FindClassMember(classID, userID string) (school.ClassMember, error) {
	row, err := t.findClassMemberRow(classID, userID)
	return row.toClassMember(), err
}

func (t *tx) findClassMemberRow(classID, userID string) (classMemberRow, error) {
	var row classMemberRow
	err := t.rows().Take(&row, "class_id = ? AND user_id = ?", classID, userID).Error
	return row, mysql.WrapNotFound(err, "read class member")
}

// ListClassMemberships implements school.Tx.
func (t *tx) ListClassMemberships(userID string, onlyTaught bool) ([]school.ClassMember, error) {
	q := t.rows().Where("user_id = ? AND school_id = ?", userID, t.school.ID)
	if onlyTaught {
		q = q.Where("role = ?", school.RoleTeacher)
	}
	var rows []classMemberRow
	if err := q.Order("class_id").Find(&rows).Error; err != nil {
		return nil, mysql.Wrap(err, "read class memberships")
	}
	memberships := make([]school.ClassMember, len(rows))
	for i, r := range rows {
		memberships[i] = r.toClassMember()
	}
	return memberships, nil
}

// SetClassMember implements school.Tx.
func (t *tx) SetClassMember(m school.ClassMember) (school.ClassMember, error) {
	row, err := t.findClassMemberRow(m.ClassID, m.UserID)
	if errors.Is(err, problem.NotFound()) {
		// The membership in the school has the name. It is locked before a rename reaches the memberships in classes.
		var inSchool memberRow
		inSchool, err = t.findMemberRow(m.UserID)
		row.Name = inSchool.Name
	}
	if err != nil {
		return m, err
	}
	sequence, err := t.emitClassEvent(m.ClassID, school.EventClassMemberAdded, school.NewClassMemberData(m))
	if err != nil {
		return m, err
	}
	row = classMemberRow{
		ClassID: m.ClassID, UserID: m.UserID, SchoolID: t.school.ID, Role: m.Role, Name: row.Name, Version: sequence, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
	if err := t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
		return m, fmt.Errorf("write class member: %w", err)
	}
	return row.toClassMember(), nil
}

// RemoveClassMember implements school.Tx.
func (t *tx) RemoveClassMember(m school.ClassMember) error {
	if _, err := t.emitClassEvent(m.ClassID, school.EventClassMemberRemoved, school.NewClassMemberData(m)); err != nil {
		return err
	}
	return mysql.RequireOneRow(t.db.Where("class_id = ? AND user_id = ?", m.ClassID, m.UserID).Delete(&classMemberRow{}), "delete class member")
}

// emitClassEvent locks the class, puts an event about it into the outbox and returns the class's new sequence.
func (t *tx) emitClassEvent(classID, typ string, data any) (int64, error) {
	row, err := t.findClassRow(classID)
	if err != nil {
		return 0, err
	}
	row.Sequence++
	if err := mysql.RequireOneRow(t.db.Model(&classRow{}).Where("id = ?", classID).UpdateColumn("sequence", row.Sequence), "update class's sequence"); err != nil {
		return 0, err
	}
	return row.Sequence, t.appendEvent(typ, classID, row.Sequence, data)
}

func (t *tx) cacheClass(c school.Class) {
	t.runAfterCommit(func(ctx context.Context) { cache.Put(ctx, t.store.cache, classKey(c.ID), c.Version, c) })
}
