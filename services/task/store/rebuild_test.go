package store_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgo/pkg/event"
	"pgo/pkg/testing/servicetest"
	"pgo/services/task/store"
	"pgo/services/task/view"
	"pgo/services/task/view/viewtest"
)

// runRebuild runs a rebuild from an export and returns what it reported.
func runRebuild(t testing.TB, s *store.Store, export string, dryRun bool) []view.Difference {
	t.Helper()
	e, err := view.ReadExport(strings.NewReader(export))
	if err != nil {
		t.Fatal(err)
	}
	var all []view.Difference
	err = view.Rebuild(t.Context(), s, e, dryRun, func(d view.Difference) error { all = append(all, d); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func decodeAll(t testing.TB, events []event.Event) []view.Change {
	t.Helper()
	var all []view.Change
	for _, e := range events {
		change, err := view.Decode(e)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, change)
	}
	return all
}

var everything = []string{
	"SELECT * FROM view_schools ORDER BY id", "SELECT * FROM view_school_members ORDER BY school_id, user_id", "SELECT * FROM view_classes ORDER BY id",
	"SELECT * FROM view_class_members ORDER BY class_id, user_id", "SELECT id, assigned_count, version FROM tasks ORDER BY id", "SELECT * FROM assignments ORDER BY task_id, user_id", "SELECT * FROM fanouts ORDER BY task_id",
}

// TestRebuildRepairsRandomDamage loses events and damages the tables at random, and changes School after its export: the
// rebuild reports and repairs the differences, and keeps newer changes.
func TestRebuildRepairsRandomDamage(t *testing.T) {
	t.Parallel()
	const runs = 8
	first := rand.Uint64()
	for run := range uint64(runs) {
		seed := first + run
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			s, _ := d.open(t, "")
			school, random := viewtest.New(t, seed), rand.New(rand.NewPCG(seed, 2))
			var tasks []string
			for range 10 {
				for range 30 {
					school.MakeRandomChange()
				}
				for _, e := range school.TakeEvents() {
					if e.Source != "user" && random.IntN(6) == 0 {
						continue // the event is lost
					}
					applyChanges(t, s, decodeAll(t, []event.Event{e})...)
				}
				tasks = append(tasks, d.openTasks(t)...)
				if err := fanOutAll(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			d.damageTables(t)
			export := school.WriteExport()
			for range 60 {
				school.MakeRandomChange()
			}
			late := school.TakeEvents()
			random.Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
			applyChanges(t, s, decodeAll(t, late[:len(late)/2])...)

			before := servicetest.DumpRows(t, d.DB, everything...)
			found := runRebuild(t, s, export, true)
			if after := servicetest.DumpRows(t, d.DB, everything...); after != before {
				t.Errorf("a dry run has changed something:\n%s", servicetest.DiffLines(before, after))
			}
			if len(found) == 0 {
				t.Error("a dry run has found nothing")
			}
			if repaired := runRebuild(t, s, export, false); len(repaired) < len(found) {
				t.Errorf("the dry run has found %v\nand what was repaired is %v", found, repaired)
			}
			if left := runRebuild(t, s, export, true); len(left) > 0 {
				t.Errorf("after the rebuild differ still %v", left)
			}
			applyChanges(t, s, decodeAll(t, late[len(late)/2:])...)
			if err := fanOutAll(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			diff, err := school.FindDifferences(d.DB)
			if err != nil || diff != "" {
				t.Errorf("%v, the view differs:\n%s", err, diff)
			}
			d.assertSameStudents(t, school, tasks)
		})
	}
}

// damageTables makes changes to the tables that the service never makes.
func (d database) damageTables(t testing.TB) {
	t.Helper()
	ghost, ghostClass, user := "01500000-0000-7000-8000-00000000000a", "01500000-0000-7000-8000-00000000000b", "01500000-0000-7000-8000-00000000000c"
	for _, statement := range []string{
		"UPDATE view_class_members SET role = IF(role = 'student', 'teacher', 'student') LIMIT 3",
		"UPDATE view_class_members SET removed = NOT removed ORDER BY user_id LIMIT 5",
		"DELETE FROM view_class_members ORDER BY user_id DESC LIMIT 4",
		"DELETE FROM view_school_members ORDER BY user_id LIMIT 4",
		"UPDATE view_school_members SET role = 'owner' ORDER BY user_id DESC LIMIT 2",
		"UPDATE view_schools SET name = 'wrong' LIMIT 1",
		"DELETE FROM view_classes WHERE deleted = FALSE ORDER BY id LIMIT 1",
		"UPDATE view_classes SET name = 'wrong' WHERE deleted = FALSE ORDER BY id DESC LIMIT 1",
		"INSERT INTO view_class_members SELECT id, '" + user + "', 'student', FALSE, 1 FROM view_classes",
		"INSERT INTO view_schools (id, name, deleted, sequence) VALUES ('" + ghost + "', 'Ghost', FALSE, 1)",
		"INSERT INTO view_classes (id, school_id, name, deleted, sequence, sweep_until) VALUES ('" + ghostClass + "', '" + ghost + "', 'Ghost', FALSE, 1, NULL)",
		"INSERT INTO view_class_members VALUES ('" + ghostClass + "', '" + user + "', 'student', FALSE, 1)",
	} {
		d.exec(t, statement)
	}
}

// assertSameStudents fails the test unless each task of an existing class is assigned to all students of the class.
func (d database) assertSameStudents(t testing.TB, school *viewtest.FakeSchool, tasks []string) {
	t.Helper()
	for _, id := range tasks {
		var class string
		if err := d.QueryRow("SELECT class_id FROM tasks WHERE id = ?", id).Scan(&class); err != nil {
			t.Fatal(err)
		}
		for _, c := range school.ClassIDs() {
			if c == class {
				d.assertCounts(t, id, len(school.StudentIDs(class)))
			}
		}
	}
}

// TestRebuildAssignsMissingTasks rebuilds a view that held a person for a student before they became one, so that they got no
// tasks.
func TestRebuildAssignsMissingTasks(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	const school, class, user = "01500000-0000-7000-8000-000000000001", "01500000-0000-7000-8000-000000000002", "01500000-0000-7000-8000-000000000003"
	export := `{"kind":"header","taken_at":"2026-01-01T00:00:00Z"}
{"kind":"school","id":"` + school + `","name":"School","sequence":5}
{"kind":"class","id":"` + class + `","school_id":"` + school + `","name":"7A","sequence":5}
{"kind":"class_member","class_id":"` + class + `","school_id":"` + school + `","user_id":"` + user + `","role":"teacher","sequence":5}
{"kind":"end","lines":4}
`
	applyChanges(t, s, view.School{ID: school, Name: "School", Sequence: 5}, view.Class{ID: class, SchoolID: school, Name: "7A", Sequence: 5},
		view.ClassMember{ClassID: class, SchoolID: school, UserID: user, Role: "teacher", Sequence: 5})
	tasks := d.openTasks(t)
	if err := fanOutAll(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	d.exec(t, "UPDATE view_class_members SET role = 'student'")
	applyChanges(t, s, view.ClassMember{ClassID: class, SchoolID: school, UserID: user, Role: "student", Sequence: 6})
	for _, dryRun := range []bool{true, false} {
		found := runRebuild(t, s, export, dryRun)
		if len(found) != 1 || found[0].Kind != "assignments" || found[0].ID != class+"/"+user {
			t.Errorf("found %v", found)
		}
	}
	if left := runRebuild(t, s, export, true); len(left) > 0 {
		t.Errorf("after the rebuild differ still %v", left)
	}
	if err := fanOutAll(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	d.assertCounts(t, tasks[0], 1)
}

// TestRebuildEmptyView rebuilds the view of a service that has received no events.
func TestRebuildEmptyView(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	school := viewtest.New(t, 1)
	for range 300 {
		school.MakeRandomChange()
	}
	for _, c := range decodeAll(t, school.TakeEvents()) {
		if p, is := c.(view.Person); is {
			applyChanges(t, s, p)
		}
	}
	export := school.WriteExport()
	found, repaired := runRebuild(t, s, export, true), runRebuild(t, s, export, false)
	if len(found) == 0 || formatValue(found) != formatValue(repaired) {
		t.Errorf("found %v\nrepaired %v", found, repaired)
	}
	if diff, err := school.FindDifferences(d.DB); err != nil || diff != "" {
		t.Errorf("%v, the view differs:\n%s", err, diff)
	}
}

// TestRebuildKeepsNewerChanges applies changes that are newer than the export, one by one, and rebuilds the view.
func TestRebuildKeepsNewerChanges(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	const old, oldClass, user = "01500000-0000-7000-8000-000000000001", "01500000-0000-7000-8000-000000000002", "01500000-0000-7000-8000-000000000003"
	export := `{"kind":"header","taken_at":"2026-01-01T00:00:00Z"}
{"kind":"school","id":"` + old + `","name":"Old","sequence":5}
{"kind":"class","id":"` + oldClass + `","school_id":"` + old + `","name":"Old","sequence":5}
{"kind":"class_member","class_id":"` + oldClass + `","school_id":"` + old + `","user_id":"` + user + `","role":"student","sequence":5}
{"kind":"end","lines":4}
`
	school, class := newID(), newID() // created after the export
	for _, tc := range []struct {
		name    string
		changes []view.Change
		query   string
		want    string
	}{
		{"a school created later", []view.Change{view.School{ID: school, Name: "Later", Sequence: 1}}, "SELECT name FROM view_schools WHERE deleted = FALSE AND id = '" + school + "'", "Later"},
		{"a class created later", []view.Change{view.Class{ID: class, SchoolID: school, Name: "Later", Sequence: 1}}, "SELECT name FROM view_classes WHERE deleted = FALSE AND id = '" + class + "'", "Later"},
		{"a new name", []view.Change{view.School{ID: old, Name: "New", Sequence: 6}}, "SELECT name FROM view_schools WHERE id = '" + old + "'", "New"},
		{"a new role", []view.Change{view.ClassMember{ClassID: oldClass, SchoolID: old, UserID: user, Role: "teacher", Sequence: 6}}, "SELECT role FROM view_class_members WHERE class_id = '" + oldClass + "'", "teacher"},
		{"a removed member", []view.Change{view.ClassMember{ClassID: oldClass, SchoolID: old, UserID: user, Role: "teacher", Removed: true, Sequence: 7}}, "SELECT removed FROM view_class_members WHERE class_id = '" + oldClass + "'", "1"},
		{"a deleted class", []view.Change{view.Class{ID: oldClass, SchoolID: old, Deleted: true, Sequence: 8}}, "SELECT deleted FROM view_classes WHERE id = '" + oldClass + "'", "1"},
		{"a deleted school", []view.Change{view.School{ID: old, Deleted: true, Sequence: 8}}, "SELECT deleted FROM view_schools WHERE id = '" + old + "'", "1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			applyChanges(t, s, tc.changes...)
			for range 2 {
				runRebuild(t, s, export, false)
				var got sql.NullString
				if err := d.QueryRow(tc.query).Scan(&got); err != nil || got.String != tc.want {
					t.Errorf("got %q, %v, want %q", got.String, err, tc.want)
				}
			}
		})
	}
}
