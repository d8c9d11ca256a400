package store_test

import (
	"testing"

	"pgo/services/task"
	"pgo/services/task/view"
)

// TestEventIsAppliedOnce delivers two events with the same id: the first is what happened.
func TestEventIsAppliedOnce(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	id, event := newID(), newID()
	for sequence, name := range []string{"First", "Second", "Third"} {
		if err := s.Apply(t.Context(), consumer, event, view.School{ID: id, Name: name, Sequence: int64(sequence + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.count(t, "SELECT COUNT(*) FROM view_schools WHERE name = 'First' AND sequence = 1"); n != 1 {
		t.Error("a repeated event had an effect")
	}
}

// TestLateEventsDoNotReviveDeletedObjects delivers late events about members of a deleted class and a deleted school.
func TestLateEventsDoNotReviveDeletedObjects(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	for name, deletion := range map[string]func(r *testClass) view.Change{
		"class": func(r *testClass) view.Change {
			return view.Class{ID: r.class, SchoolID: r.school, Deleted: true, Sequence: 99}
		},
		"school": func(r *testClass) view.Change { return view.School{ID: r.school, Deleted: true, Sequence: 99} },
	} {
		t.Run(name, func(t *testing.T) {
			r := d.createClass(t, s, 2)
			applyChanges(t, s, view.School{ID: r.school, Name: "School", Sequence: 1})
			id := r.publish(t, s)
			applyChanges(t, s, deletion(r))
			members := d.count(t, "SELECT COUNT(*) FROM view_class_members WHERE class_id = ?", r.class)
			late := newID()
			applyChanges(t, s, view.ClassMember{ClassID: r.class, SchoolID: r.school, UserID: late, Role: task.RoleStudent, Sequence: 98})
			applyChanges(t, s, view.Class{ID: newID(), SchoolID: r.school, Name: "late", Sequence: 1})
			if name == "school" {
				applyChanges(t, s, view.Member{SchoolID: r.school, UserID: late, Role: "owner", Sequence: 98}, view.School{ID: r.school, Name: "late", Sequence: 98})
				if n := d.count(t, "SELECT (SELECT COUNT(*) FROM view_school_members WHERE school_id = ?) + (SELECT COUNT(*) FROM view_schools WHERE id = ? AND NOT deleted) + (SELECT COUNT(*) FROM view_classes WHERE school_id = ? AND NOT deleted)", r.school, r.school, r.school); n != 0 {
					t.Errorf("%d rows belong to a deleted school", n)
				}
			}
			if n := d.count(t, "SELECT COUNT(*) FROM view_class_members WHERE class_id = ?", r.class); n != members {
				t.Errorf("%d members, and there were %d", n, members)
			}
			if err := fanOutAll(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if n := d.count(t, "SELECT (SELECT COUNT(*) FROM assignments WHERE task_id = ?) + (SELECT COUNT(*) FROM fanouts)", id); n != 0 {
				t.Errorf("%d assignments and fan-outs of a deleted class", n)
			}
			if err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := d.count(t, "SELECT (SELECT COUNT(*) FROM tasks WHERE class_id = ?) + (SELECT COUNT(*) FROM view_class_members WHERE class_id = ?)", r.class, r.class); n != 0 {
				t.Errorf("%d rows of a deleted class after the sweep", n)
			}
			if n := d.count(t, "SELECT COUNT(*) FROM view_classes WHERE id = ? AND deleted AND sweep_until IS NOT NULL", r.class); n != 1 {
				t.Error("the sweep does not come again for what was being added meanwhile")
			}
			d.exec(t, "UPDATE view_classes SET sweep_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE id = ?", r.class)
			if err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := d.count(t, "SELECT COUNT(*) FROM view_classes WHERE id = ? AND deleted AND sweep_until IS NULL", r.class); n != 1 {
				t.Error("the tombstone was deleted, or its sweep does not end")
			}
		})
	}
}

// TestRebuildKeepsLaterDeletionOfSchool rebuilds a view in which a school was deleted after the export: its classes stay
// deleted, including one that the view did not know.
func TestRebuildKeepsLaterDeletionOfSchool(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	const school, class, unknown = "01500000-0000-7000-8000-000000000001", "01500000-0000-7000-8000-000000000002", "01500000-0000-7000-8000-000000000003"
	applyChanges(t, s, view.School{ID: school, Name: "Old", Sequence: 5}, view.Class{ID: class, SchoolID: school, Name: "Old", Sequence: 5}, view.School{ID: school, Deleted: true, Sequence: 6})
	export := `{"kind":"header","taken_at":"2026-01-01T00:00:00Z"}
{"kind":"school","id":"` + school + `","name":"Old","sequence":5}
{"kind":"class","id":"` + class + `","school_id":"` + school + `","name":"Old","sequence":5}
{"kind":"class","id":"` + unknown + `","school_id":"` + school + `","name":"Old","sequence":5}
{"kind":"end","lines":4}
`
	for _, dryRun := range []bool{true, false, true} {
		if diffs := runRebuild(t, s, export, dryRun); len(diffs) > 0 {
			t.Errorf("reports %v", diffs)
		}
	}
	if n := d.count(t, "SELECT COUNT(*) FROM view_classes WHERE NOT deleted"); n != 0 {
		t.Errorf("%d classes of a deleted school are back", n)
	}
}
