package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"pgo/pkg/problem"
	"pgo/pkg/testing/servicetest"
	"pgo/services/school"
)

// TestPrune checks that Prune deletes more than one batch, and keeps what is still needed.
func TestPrune(t *testing.T) {
	t.Parallel()
	s, db, _ := openStore(t)
	for _, statement := range []string{
		`INSERT INTO schools (id, name, timezone, ownerless, version, sequence, created_at, updated_at) VALUES ('kept', 'Kept', 'UTC', FALSE, 1, 1, NOW(6), NOW(6))`,
		`INSERT INTO deleted_schools VALUES ('gone'), ('gone before')`,
		`INSERT INTO school_members SELECT IF(n < 2500, 'gone', 'kept'), ` + sqlID(aPerson, "n") + `, 'student', NOW(6), '', 1, NOW(6), NOW(6) FROM ` + servicetest.Numbers + ` WHERE n < 2600`,
		`INSERT INTO classes (id, school_id, name, grade, version, sequence, created_at, updated_at) SELECT ` + sqlID(aClass, "n") + `, IF(n < 1100, 'gone', 'kept'), 'Class', '', 1, 1, NOW(6), NOW(6) FROM ` + servicetest.Numbers + ` WHERE n < 1200`,
		`INSERT INTO class_members SELECT ` + sqlID(aClass, "n DIV 3000 * 1150") + `, ` + sqlID(aPerson, "n") + `, 's', 'student', '', 1, NOW(6), NOW(6) FROM ` + servicetest.Numbers + ` WHERE n < 3100`,
		`INSERT INTO invites SELECT ` + sqlID(anInvite, "n") + `, CONCAT('code', n), ELT(1 + n % 3, 'gone', 'kept', 'kept'), 'student', 1, 0,
			UTC_TIMESTAMP(6) - INTERVAL IF(n % 3 = 2, 31, 29) DAY, 'p', NOW(6) FROM ` + servicetest.Numbers + ` WHERE n < 3300`,
		`INSERT INTO pgo_inbox VALUES ('school.events', 'new', UTC_TIMESTAMP(6), 0), ('school.events', 'old', UTC_TIMESTAMP(6) - INTERVAL 60 DAY, 0), ('other', 'old', UTC_TIMESTAMP(6) - INTERVAL 60 DAY, 0)`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for range 2 { // the second time there is nothing to do
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]int{
		"SELECT COUNT(*) FROM schools":                                                               1,
		"SELECT COUNT(*) FROM deleted_schools":                                                       0,
		"SELECT COUNT(*) FROM school_members":                                                        100,
		"SELECT COUNT(*) FROM school_members WHERE school_id = 'kept'":                               100,
		"SELECT COUNT(*) FROM classes":                                                               100,
		"SELECT COUNT(*) FROM classes WHERE school_id = 'kept'":                                      100,
		"SELECT COUNT(*) FROM class_members":                                                         100,
		"SELECT COUNT(*) FROM invites":                                                               1100,
		"SELECT COUNT(*) FROM invites WHERE school_id = 'kept'":                                      1100,
		"SELECT COUNT(*) FROM pgo_inbox":                                                             2,
		"SELECT COUNT(*) FROM pgo_inbox WHERE consumer = 'school.events' AND event_id = 'new'":       1,
		"SELECT COUNT(*) FROM pgo_inbox WHERE consumer = 'other' AND event_id = 'old'":               1,
		"SELECT COUNT(*) FROM invites WHERE expires_at < UTC_TIMESTAMP(6) - INTERVAL 30 DAY":         0,
		"SELECT COUNT(*) FROM class_members WHERE class_id NOT IN (SELECT id FROM classes)":          0,
		"SELECT COUNT(*) FROM school_members WHERE school_id NOT IN (SELECT id FROM schools)":        0,
		"SELECT COUNT(*) FROM classes WHERE school_id NOT IN (SELECT id FROM schools)":               0,
		"SELECT COUNT(*) FROM invites WHERE school_id NOT IN (SELECT id FROM schools) AND uses >= 0": 0,
	} {
		var got int
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", query, got, err, want)
		}
	}
}

// TestPruneDeletesWhatWasArchived keeps what can still be restored, and publishes what is deleted.
func TestPruneDeletesWhatWasArchived(t *testing.T) {
	t.Parallel()
	s, db, _ := openStore(t)
	for _, statement := range []string{
		`INSERT INTO schools (id, name, timezone, ownerless, version, sequence, created_at, updated_at, archived_at) VALUES
			('live', 'S', 'UTC', FALSE, 1, 1, NOW(6), NOW(6), NULL), ('new', 'S', 'UTC', FALSE, 1, 1, NOW(6), NOW(6), UTC_TIMESTAMP(6) - INTERVAL 29 DAY),
			('old', 'S', 'UTC', FALSE, 1, 1, NOW(6), NOW(6), UTC_TIMESTAMP(6) - INTERVAL 31 DAY)`,
		`INSERT INTO classes (id, school_id, name, grade, version, sequence, created_at, updated_at, archived_at) VALUES
			('live', 'live', 'C', '', 1, 1, NOW(6), NOW(6), NULL), ('new', 'live', 'C', '', 1, 1, NOW(6), NOW(6), UTC_TIMESTAMP(6) - INTERVAL 29 DAY),
			('old', 'live', 'C', '', 1, 1, NOW(6), NOW(6), UTC_TIMESTAMP(6) - INTERVAL 31 DAY), ('hidden', 'new', 'C', '', 1, 1, NOW(6), NOW(6), NULL), ('gone', 'old', 'C', '', 1, 1, NOW(6), NOW(6), NULL)`,
		`INSERT INTO class_members SELECT id, 'p', school_id, 'student', '', 1, NOW(6), NOW(6) FROM classes`,
		`INSERT INTO school_members SELECT id, 'p', 'student', NOW(6), '', 1, NOW(6), NOW(6) FROM schools`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for range 2 { // the second time there is nothing to do
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]string{
		"SELECT GROUP_CONCAT(id ORDER BY id) FROM schools":                                      "live,new",
		"SELECT GROUP_CONCAT(id ORDER BY id) FROM classes":                                      "hidden,live,new",
		"SELECT GROUP_CONCAT(class_id ORDER BY class_id) FROM class_members":                    "hidden,live,new",
		"SELECT GROUP_CONCAT(school_id ORDER BY school_id) FROM school_members":                 "live,new",
		"SELECT GROUP_CONCAT(type, ' ', subject ORDER BY type) FROM pgo_outbox":                 "class.deleted.v1 old,school.deleted.v1 old",
		"SELECT GROUP_CONCAT(JSON_EXTRACT(envelope, '$.sequence') ORDER BY id) FROM pgo_outbox": "2,2",
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", query, got, err, want)
		}
	}
}

// TestPruneWhileRestoring restores classes at the moment at which they are deleted for good, while members of theirs change: each is
// there with its members, or gone with all of them and one event.
func TestPruneWhileRestoring(t *testing.T) {
	t.Parallel()
	s, db, _ := openStore(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	made := school.School{ID: newTestID(aSchool, 1), Name: "School", Timezone: "UTC", Version: 1, CreatedAt: now, UpdatedAt: now}
	if err := s.CreateSchool(t.Context(), made, newTestID(aPerson, 1)); err != nil {
		t.Fatal(err)
	}
	const classes = 20
	old := now.Add(-school.KeepArchived - time.Hour)
	for n := range classes {
		err := s.ChangeSchool(t.Context(), made.ID, func(tx school.Tx) error {
			class := school.Class{ID: newTestID(aClass, n), SchoolID: made.ID, Name: "7A", Version: 1, CreatedAt: now, UpdatedAt: now, ArchivedAt: &old}
			member := school.ClassMember{ClassID: class.ID, SchoolID: made.ID, UserID: newTestID(aPerson, 1), Role: school.RoleTeacher, CreatedAt: now, UpdatedAt: now}
			if err := tx.AddClass(class); err != nil {
				return err
			}
			_, err := tx.SetClassMember(member)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	restore := func(n int) (bool, error) {
		err := s.ChangeSchool(t.Context(), made.ID, func(tx school.Tx) error {
			class, err := tx.FindClass(newTestID(aClass, n))
			if err != nil {
				return err
			}
			class.ArchivedAt = nil
			class.Version++
			return tx.SaveClass(class)
		})
		if errors.Is(err, problem.NotFound()) {
			return false, nil
		}
		return err == nil, err
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if err := s.Prune(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	restored := make([]bool, classes)
	for n := range classes {
		all.Go(func() {
			var err error
			if restored[n], err = restore(n); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for n, is := range restored {
		var there, members, deletions int
		id := newTestID(aClass, n)
		err := db.QueryRow(`SELECT (SELECT COUNT(*) FROM classes WHERE id = ? AND archived_at IS NULL), (SELECT COUNT(*) FROM class_members WHERE class_id = ?),
			(SELECT COUNT(*) FROM pgo_outbox WHERE subject = ? AND type = 'class.deleted.v1')`, id, id, id).Scan(&there, &members, &deletions)
		want := 0
		if is {
			want = 1
		}
		if err != nil || there != want || members != want || deletions != 1-want {
			t.Errorf("class %d, restored %v: %d classes, %d members and %d deletions, %v", n, is, there, members, deletions, err)
		}
	}
}
