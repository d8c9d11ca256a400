package store

import (
	"context"

	"gorm.io/gorm"

	"pgo/pkg/mysql"
	"pgo/pkg/page"
	"pgo/services/school"
)

// mineRow is a school with a person's role in it.
type mineRow struct {
	School schoolRow `gorm:"embedded"`
	MyRole string
}

// Schools implements school.Lister.
func (s *Store) Schools(ctx context.Context, userID string, p page.Request[school.IDKey]) (page.Page[school.Mine], error) {
	q := s.db.WithContext(ctx).Table("school_members m").Select("s.*, m.role AS my_role").Joins("JOIN schools s ON s.id = m.school_id").Where("m.user_id = ?", userID)
	if p.After != nil {
		q = q.Where("m.school_id > ?", p.After.ID)
	}
	var rows []mineRow
	if err := q.Order("m.school_id").Limit(p.Limit + 1).Find(&rows).Error; err != nil {
		return page.Page[school.Mine]{}, mysql.Failed(err, "list schools")
	}
	return page.Of(rows, p.Limit, func(r mineRow) school.Mine { return school.Mine{School: r.School.school(), MyRole: r.MyRole} },
		func(m school.Mine) school.IDKey { return school.IDKey{ID: m.ID} })
}

// Members implements school.Lister.
func (s *Store) Members(ctx context.Context, schoolID string, f school.MemberFilter, p page.Request[school.NameKey]) (page.Page[school.Member], error) {
	q := ofRole(s.db.WithContext(ctx), "school_members", f.Role).Where("school_id = ?", schoolID)
	if f.Query != "" {
		q = q.Where("name LIKE ?", mysql.LikePrefix(f.Query))
	}
	var rows []memberRow
	if err := byName(q, p).Find(&rows).Error; err != nil {
		return page.Page[school.Member]{}, mysql.Failed(err, "list members")
	}
	return page.Of(rows, p.Limit, memberRow.member, func(m school.Member) school.NameKey { return nameKey(m.Name, m.UserID) })
}

// Invites implements school.Lister.
func (s *Store) Invites(ctx context.Context, schoolID string, p page.Request[school.IDKey]) (page.Page[school.Invite], error) {
	var rows []inviteRow
	if err := byID(s.db.WithContext(ctx).Where("school_id = ?", schoolID), p).Find(&rows).Error; err != nil {
		return page.Page[school.Invite]{}, mysql.Failed(err, "list invites")
	}
	return page.Of(rows, p.Limit, inviteRow.invite, func(i school.Invite) school.IDKey { return school.IDKey{ID: i.ID} })
}

// Classes implements school.Lister.
func (s *Store) Classes(ctx context.Context, schoolID string, p page.Request[school.IDKey]) (page.Page[school.Class], error) {
	var rows []classRow
	if err := byID(s.db.WithContext(ctx).Where("school_id = ?", schoolID), p).Find(&rows).Error; err != nil {
		return page.Page[school.Class]{}, mysql.Failed(err, "list classes")
	}
	return page.Of(rows, p.Limit, classRow.class, func(c school.Class) school.IDKey { return school.IDKey{ID: c.ID} })
}

// ClassMembers implements school.Lister.
func (s *Store) ClassMembers(ctx context.Context, classID, role string, p page.Request[school.NameKey]) (page.Page[school.ClassMember], error) {
	q := ofRole(s.db.WithContext(ctx), "class_members", role).Where("class_id = ?", classID)
	var rows []classMemberRow
	if err := byName(q, p).Find(&rows).Error; err != nil {
		return page.Page[school.ClassMember]{}, mysql.Failed(err, "list class members")
	}
	return page.Of(rows, p.Limit, classMemberRow.member, func(m school.ClassMember) school.NameKey { return nameKey(m.Name, m.UserID) })
}

func byID(q *gorm.DB, p page.Request[school.IDKey]) *gorm.DB {
	if p.After != nil {
		q = q.Where("id > ?", p.After.ID)
	}
	return q.Order("id").Limit(p.Limit + 1)
}

// ofRole selects people with the role, "" for all. The index is said because the server may else walk through all names
// for a role that few have.
func ofRole(q *gorm.DB, table, role string) *gorm.DB {
	if role == "" {
		return q.Table(table + " FORCE INDEX (" + table + "_name)")
	}
	return q.Table(table+" FORCE INDEX ("+table+"_role)").Where("role = ?", role)
}

// byName orders people by name and then id. After is said as two ranges of one index, which a comparison of pairs is
// not to the server.
func byName(q *gorm.DB, p page.Request[school.NameKey]) *gorm.DB {
	if p.After != nil {
		q = q.Where("(name > ? OR (name = ? AND user_id > ?))", p.After.Name, p.After.Name, p.After.UserID)
	}
	return q.Order("name, user_id").Limit(p.Limit + 1)
}

func nameKey(name *string, userID string) school.NameKey {
	if name == nil {
		return school.NameKey{UserID: userID}
	}
	return school.NameKey{Name: *name, UserID: userID}
}
