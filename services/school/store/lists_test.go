package store_test

import (
	"database/sql"
	"fmt"
	"testing"

	"pgo/pkg/page"
	"pgo/pkg/testing/servicetest"
	"pgo/services/school"
	"pgo/services/school/migrations"
	"pgo/services/school/store"
)

// openStore returns a store on an empty database and the queries that it sends from then on.
func openStore(t *testing.T) (*store.Store, *sql.DB, *[]string) {
	t.Helper()
	d := servicetest.NewDatabase(t, migrations.FS)
	db, c := d.Connect(t, "")
	return store.New(db, c, "school", func() {}), d.DB, servicetest.RecordQueries(t, db)
}

// sqlID is an id of a kind, as SQL and as a value.
func sqlID(kind int, n string) string {
	return fmt.Sprintf("CONCAT('0190000%d-0000-7000-8000-', LPAD(HEX(%s), 12, '0'))", kind, n)
}

func newTestID(kind, n int) string { return fmt.Sprintf("0190000%d-0000-7000-8000-%012X", kind, n) }

// Kinds of ids. School 0 and class 0 are large; person 7 is in every school.
const (
	aSchool = iota
	aClass
	aPerson
	anInvite
)

// fillTables makes 100,000 rows of everything, enough for the server to choose its plans as it would in production: half of
// the members, classes, places and invites belong to school 0 and class 0, the rest to others, a few each. Person n is
// called N and n's digits the other way round; every hundredth, from the eleventh, has no known name.
func fillTables(t *testing.T, db *sql.DB) {
	t.Helper()
	const name = "IF(n % 100 = 11, '', CONCAT('N', REVERSE(LPAD(n, 5, '0'))))"
	const role = "ELT(1 + (n % 50 = 1) + 2 * (n % 50 = 2) + 3 * (n % 10 = 3), 'student', 'admin', 'owner', 'teacher')"
	for _, statement := range []string{
		`INSERT INTO schools (id, name, timezone, ownerless, version, sequence, created_at, updated_at) SELECT ` + sqlID(aSchool, "n") + `, 'School', 'UTC', FALSE, 1, 1, NOW(6), NOW(6) FROM ` + servicetest.Numbers,
		`INSERT INTO school_members SELECT ` + sqlID(aSchool, "IF(n % 2, 0, n)") + `, ` + sqlID(aPerson, "n") + `, ` + role + `, NOW(6), ` + name + `, 1, NOW(6), NOW(6) FROM ` + servicetest.Numbers,
		`INSERT IGNORE INTO school_members SELECT ` + sqlID(aSchool, "n") + `, ` + sqlID(aPerson, "7") + `, 'admin', NOW(6), 'N70000', 1, NOW(6), NOW(6) FROM ` + servicetest.Numbers + ` WHERE n % 4 = 0`,
		`INSERT INTO classes (id, school_id, name, grade, version, sequence, created_at, updated_at) SELECT ` + sqlID(aClass, "n") + `, ` + sqlID(aSchool, "IF(n % 2, 0, n)") + `, 'Class', '7', 1, 1, NOW(6), NOW(6) FROM ` + servicetest.Numbers,
		`INSERT INTO class_members SELECT ` + sqlID(aClass, "IF(n % 2, 0, n)") + `, ` + sqlID(aPerson, "n") + `, ` + sqlID(aSchool, "0") + `, IF(n % 50 = 1, 'teacher', 'student'), ` + name + `, 1, NOW(6), NOW(6) FROM ` + servicetest.Numbers,
		`INSERT INTO invites SELECT ` + sqlID(anInvite, "n") + `, CONCAT('code', n), ` + sqlID(aSchool, "IF(n % 2, 0, n)") + `, 'student', 10, 0, NOW(6), ` + sqlID(aPerson, "n") + `, NOW(6) FROM ` + servicetest.Numbers,
		`ANALYZE TABLE schools, school_members, classes, class_members, invites`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestListsReadOnlyTheirPage runs every list on 100,000 rows: its plan has no full scan and no sorting, and the server
// reads rows in proportion to the page, never to the table.
func TestListsReadOnlyTheirPage(t *testing.T) {
	t.Parallel()
	s, db, sent := openStore(t)
	fillTables(t, db)
	const limit = 20
	byID := func(kind, n int) page.Request[school.IDKey] {
		return page.Request[school.IDKey]{Limit: limit, After: &school.IDKey{ID: newTestID(kind, n)}}
	}
	byName := func(name string, n int) page.Request[school.NameKey] {
		return page.Request[school.NameKey]{Limit: limit, After: &school.NameKey{Name: name, UserID: newTestID(aPerson, n)}}
	}
	firstID, firstName := page.Request[school.IDKey]{Limit: limit}, page.Request[school.NameKey]{Limit: limit}
	members := func(f school.MemberFilter, p page.Request[school.NameKey]) func() (int, error) {
		return func() (int, error) {
			list, err := s.ListMembers(t.Context(), newTestID(aSchool, 0), f, p)
			return len(list.Items), err
		}
	}
	inClass := func(role string, p page.Request[school.NameKey]) func() (int, error) {
		return func() (int, error) {
			list, err := s.ListClassMembers(t.Context(), newTestID(aClass, 0), role, p)
			return len(list.Items), err
		}
	}
	for _, tc := range []struct {
		name  string
		list  func() (int, error)
		items int
	}{
		{"schools", func() (int, error) {
			list, err := s.ListSchools(t.Context(), newTestID(aPerson, 7), false, firstID)
			return len(list.Items), err
		}, limit},
		{"schools, far behind", func() (int, error) {
			list, err := s.ListSchools(t.Context(), newTestID(aPerson, 7), false, byID(aSchool, 90_000))
			return len(list.Items), err
		}, limit},
		{"schools of somebody with one", func() (int, error) {
			list, err := s.ListSchools(t.Context(), newTestID(aPerson, 9), false, firstID)
			return len(list.Items), err
		}, 1},
		{"members", members(school.MemberFilter{}, firstName), limit},
		{"members, next page", members(school.MemberFilter{}, byName("N10000", 1)), limit},
		{"members, far behind", members(school.MemberFilter{}, byName("N98999", 99_989)), limit},
		{"members, last page", members(school.MemberFilter{}, byName("N99999", 99_999)), 0},
		{"members, among those without a name", members(school.MemberFilter{}, byName("", 5_011)), limit},
		{"members of a rare role", members(school.MemberFilter{Role: "owner"}, firstName), 0},
		{"members of a rarer role", members(school.MemberFilter{Role: "admin"}, firstName), limit},
		{"members of a rarer role, far behind", members(school.MemberFilter{Role: "admin"}, byName("N15", 0)), limit},
		{"members of the commonest role", members(school.MemberFilter{Role: "student"}, firstName), limit},
		{"members of the commonest role, far behind", members(school.MemberFilter{Role: "student"}, byName("N97999", 99_979)), limit},
		{"search", members(school.MemberFilter{Query: "n123"}, firstName), limit},
		{"search, second page", members(school.MemberFilter{Query: "n1"}, byName("N15", 0)), limit},
		{"search that finds one", members(school.MemberFilter{Query: "n12345"}, firstName), 1},
		{"search that finds nobody", members(school.MemberFilter{Query: "x"}, firstName), 0},
		{"search that finds everybody", members(school.MemberFilter{Query: "n"}, firstName), limit},
		{"search in a role", members(school.MemberFilter{Query: "n1", Role: "student"}, firstName), limit},
		{"search in a role, second page", members(school.MemberFilter{Query: "n9", Role: "student"}, byName("N95", 0)), limit},
		{"search in a rare role", members(school.MemberFilter{Query: "n1", Role: "admin"}, firstName), limit},
		{"invites", func() (int, error) {
			list, err := s.ListInvites(t.Context(), newTestID(aSchool, 0), firstID)
			return len(list.Items), err
		}, limit},
		{"invites, far behind", func() (int, error) {
			list, err := s.ListInvites(t.Context(), newTestID(aSchool, 0), byID(anInvite, 90_000))
			return len(list.Items), err
		}, limit},
		{"classes", func() (int, error) {
			list, err := s.ListClasses(t.Context(), newTestID(aSchool, 0), false, firstID)
			return len(list.Items), err
		}, limit},
		{"classes, far behind", func() (int, error) {
			list, err := s.ListClasses(t.Context(), newTestID(aSchool, 0), false, byID(aClass, 90_000))
			return len(list.Items), err
		}, limit},
		{"class members", inClass("", firstName), limit},
		{"class members, far behind", inClass("", byName("N98999", 99_989)), limit},
		{"teachers of a class", inClass("teacher", firstName), limit},
		{"teachers of a class, second page", inClass("teacher", byName("N15", 0)), limit},
		{"students of a class, far behind", inClass("student", byName("N97999", 99_979)), limit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			*sent = nil
			items, err := tc.list()
			if err != nil || items != tc.items || len(*sent) != 1 {
				t.Fatalf("%d items, %d statements, %v; want %d and 1", items, len(*sent), err, tc.items)
			}
			for _, complaint := range servicetest.InefficientSteps(t, db, (*sent)[0]) {
				t.Error(complaint)
			}
			servicetest.AssertRowsRead(t, db, (*sent)[0], 4*(limit+1)) // MySQL counts up to four reads for a row of a join, MariaDB three
		})
	}
}
