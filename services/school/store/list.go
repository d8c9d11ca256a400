package store

import (
	"context"

	"gorm.io/gorm"

	"pgo/pkg/mysql"
	"pgo/pkg/page"
	"pgo/services/school"
)

// schoolWithRoleRow is a school row joined with a person's role in the school.
type schoolWithRoleRow struct {
	School schoolRow `gorm:"embedded"`
	MyRole string
}

// ListSchools implements school.Lister.
func (s *Store) ListSchools(ctx context.Context, userID string, archived bool, p page.Request[school.IDKey]) (page.Page[school.SchoolWithRole], error) {
	q := s.db.WithContext(ctx).Table("school_members m").Select("s.*, m.role AS my_role").Joins("STRAIGHT_JOIN schools s FORCE INDEX (PRIMARY) ON s.id = m.school_id").Where("m.user_id = ? AND "+archivedCondition("s", archived), userID)
	if p.After != nil {
		q = q.Where("m.school_id > ?", p.After.ID)
	}
	var rows []schoolWithRoleRow
	if err := q.Order("m.school_id").Limit(p.Limit + 1).Find(&rows).Error; err != nil {
		return page.Page[school.SchoolWithRole]{}, mysql.Wrap(err, "list schools")
	}
	return page.New(rows, p.Limit, func(r schoolWithRoleRow) school.SchoolWithRole {
		return school.SchoolWithRole{School: r.School.toSchool(), MyRole: r.MyRole}
	},
		func(m school.SchoolWithRole) school.IDKey { return school.IDKey{ID: m.ID} })
}

// ListMembers implements school.Lister.
func (s *Store) ListMembers(ctx context.Context, schoolID string, f school.MemberFilter, p page.Request[school.NameKey]) (page.Page[school.Member], error) {
	q := filterByRole(s.db.WithContext(ctx), "school_members", f.Role).Where("school_id = ?", schoolID)
	if f.Query != "" {
		q = q.Where("name LIKE ?", mysql.LikePrefix(f.Query))
	}
	var rows []memberRow
	if err := pageByName(q, p).Find(&rows).Error; err != nil {
		return page.Page[school.Member]{}, mysql.Wrap(err, "list members")
	}
	return page.New(rows, p.Limit, memberRow.toMember, func(m school.Member) school.NameKey { return nameKey(m.Name, m.UserID) })
}

// ListInvites implements school.Lister.
func (s *Store) ListInvites(ctx context.Context, schoolID string, p page.Request[school.IDKey]) (page.Page[school.Invite], error) {
	var rows []inviteRow
	if err := pageByID(s.db.WithContext(ctx).Where("school_id = ?", schoolID), p).Find(&rows).Error; err != nil {
		return page.Page[school.Invite]{}, mysql.Wrap(err, "list invites")
	}
	return page.New(rows, p.Limit, inviteRow.toInvite, func(i school.Invite) school.IDKey { return school.IDKey{ID: i.ID} })
}

// ListClasses implements school.Lister.
func (s *Store) ListClasses(ctx context.Context, schoolID string, archived bool, p page.Request[school.IDKey]) (page.Page[school.Class], error) {
	var rows []classRow
	q := s.db.WithContext(ctx).Table("classes FORCE INDEX (classes_school)").Where("school_id = ? AND "+archivedCondition("classes", archived), schoolID)
	if err := pageByID(q, p).Find(&rows).Error; err != nil {
		return page.Page[school.Class]{}, mysql.Wrap(err, "list classes")
	}
	return page.New(rows, p.Limit, classRow.toClass, func(c school.Class) school.IDKey { return school.IDKey{ID: c.ID} })
}

// ListClassMembers implements school.Lister.
func (s *Store) ListClassMembers(ctx context.Context, classID, role string, p page.Request[school.NameKey]) (page.Page[school.ClassMember], error) {
	q := filterByRole(s.db.WithContext(ctx), "class_members", role).Where("class_id = ?", classID)
	var rows []classMemberRow
	if err := pageByName(q, p).Find(&rows).Error; err != nil {
		return page.Page[school.ClassMember]{}, mysql.Wrap(err, "list class members")
	}
	return page.New(rows, p.Limit, classMemberRow.toClassMember, func(m school.ClassMember) school.NameKey { return nameKey(m.Name, m.UserID) })
}

// archivedCondition returns the condition that rows of a table are archived, or are not.
func archivedCondition(table string, archived bool) string {
	if archived {
		return table + ".archived_at IS NOT NULL"
	}
	return table + ".archived_at IS NULL"
}

func pageByID(q *gorm.DB, p page.Request[school.IDKey]) *gorm.DB {
	if p.After != nil {
		q = q.Where("id > ?", p.After.ID)
	}
	return q.Order("id").Limit(p.Limit + 1)
}

// filterByRole selects people with the role, or all if role is "". It names the index because the server may otherwise walk
// through all names for a role that few people have.
func filterByRole(q *gorm.DB, table, role string) *gorm.DB {
	if role == "" {
		return q.Table(table + " FORCE INDEX (" + table + "_name)")
	}
	return q.Table(table+" FORCE INDEX ("+table+"_role)").Where("role = ?", role)
}

// pageByName orders people by name and then id. The condition of a later page is written as two ranges of one index: the
// server does not use the index for a comparison of pairs.
func pageByName(q *gorm.DB, p page.Request[school.NameKey]) *gorm.DB {
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
