package view_test

import (
	"strings"
	"testing"
	"time"

	"pgo/services/task/view"
)

func joinLines(all ...string) string { return strings.Join(all, "\n") + "\n" }

const (
	header  = `{"kind":"header","taken_at":"2026-01-02T03:04:05Z"}`
	school  = `{"kind":"school","id":"` + a + `","name":"School","timezone":"Europe/Berlin","sequence":9}`
	member  = `{"kind":"member","school_id":"` + a + `","user_id":"` + c + `","role":"owner","sequence":9}`
	class   = `{"kind":"class","id":"` + b + `","school_id":"` + a + `","name":"1a","grade":"1","sequence":4}`
	student = `{"kind":"class_member","class_id":"` + b + `","user_id":"` + c + `","role":"student","sequence":4}`
)

func TestReadExport(t *testing.T) {
	for name, text := range map[string]string{
		"in order":     joinLines(header, school, member, class, student, `{"kind":"end","lines":5}`),
		"out of order": joinLines(header, student, class, member, school, `{"kind":"end","lines":5}`),
		"CRLF":         strings.ReplaceAll(joinLines(header, school, member, class, student, `{"kind":"end","lines":5}`), "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			e, err := view.ReadExport(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			s, k := e.Schools[a], e.Classes[b]
			if !e.TakenAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) || len(e.Schools) != 1 || len(e.Classes) != 1 ||
				s.School != (view.School{ID: a, Name: "School", Timezone: "Europe/Berlin", Sequence: 9}) || s.Members[c] != (view.Member{SchoolID: a, UserID: c, Role: "owner", Sequence: 9}) ||
				k.Class != (view.Class{ID: b, SchoolID: a, Name: "1a", Sequence: 4}) || k.Members[c] != (view.ClassMember{ClassID: b, SchoolID: a, UserID: c, Role: "student", Sequence: 4}) {
				t.Errorf("read %+v, %+v, %+v", e, s, k)
			}
		})
	}
	e, err := view.ReadExport(strings.NewReader(joinLines(header, `{"kind":"end","lines":1}`)))
	if err != nil || len(e.Schools)+len(e.Classes) > 0 {
		t.Errorf("an empty export is read as %+v, %v", e, err)
	}
}

func TestReadExportErrors(t *testing.T) {
	end := `{"kind":"end","lines":2}`
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "line 1: the export is truncated"},
		{"truncated", joinLines(header, school, member), "line 4: the export is truncated"},
		{"truncated in a line", header + "\n" + school[:40], "line 2: decode object"},
		{"a missing line", joinLines(header, school, `{"kind":"end","lines":3}`), "line 3: the last line must count the 2 lines"},
		{"end without a number", joinLines(header, school, `{"kind":"end"}`), "line 3: the last line must count"},
		{"more after the end", joinLines(header, school, end, school), "line 4: unexpected line after"},
		{"no header", joinLines(school, end), "line 1: the first line, and no other, must be the header"},
		{"two headers", joinLines(header, header, end), "line 2: the first line, and no other, must be the header"},
		{"header without time", joinLines(`{"kind":"header"}`, end), "line 1: taken_at is missing"},
		{"not JSON", joinLines(header, "school"), "line 2: decode object"},
		{"empty line", joinLines(header, ""), "line 2: decode object"},
		{"two objects in a line", joinLines(header, school+school), "line 2: more than one object"},
		{"unknown kind", joinLines(header, `{"kind":"planet","sequence":1}`, end), `line 2: unknown kind "planet"`},
		{"no kind", joinLines(header, `{"sequence":1}`, end), `line 2: unknown kind ""`},
		{"no sequence", joinLines(header, `{"kind":"school","id":"`+a+`","name":"S"}`, end), "line 2: sequence is missing"},
		{"bad id", joinLines(header, `{"kind":"school","id":"x","name":"S","sequence":1}`, end), "line 2: id is not an id"},
		{"bad role", joinLines(header, school, strings.Replace(member, "owner", "king", 1)), "line 3: role is not one of"},
		{"bad role in a class", joinLines(header, school, class, strings.Replace(student, "student", "king", 1), `{"kind":"end","lines":4}`), "role is not one of"},
		{"school twice", joinLines(header, school, school), "line 3: duplicate school"},
		{"class twice", joinLines(header, school, class, class), "line 4: duplicate class"},
		{"class without school", joinLines(header, class, end), "belongs to a school that is not in the export"},
		{"member without school", joinLines(header, member, end), "belongs to school " + a + ", which is not in the export"},
		{"class member without class", joinLines(header, student, end), "belongs to class " + b + ", which is not in the export"},
		{"a line without end", header + "\n" + strings.Repeat("x", 2<<20), "line 2: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := view.ReadExport(strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestCreatedAfter(t *testing.T) {
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	id := "019b8000-0000-7000-8000-000000000001" // created at 2026-01-02T18:37:22Z
	for when, want := range map[string]bool{"2026-01-02T18:37:00Z": true, "2026-01-02T18:38:00Z": true, "2026-01-02T18:39:00Z": false, "2027-01-01T00:00:00Z": false} {
		if got := view.CreatedAfter(id, at(when)); got != want {
			t.Errorf("created after %s: %v, want %v", when, got, want)
		}
	}
	if view.CreatedAfter("550e8400-e29b-41d4-a716-446655440000", at("2000-01-01T00:00:00Z")) || view.CreatedAfter("x", at("2000-01-01T00:00:00Z")) {
		t.Error("an id without a time is taken for a new one")
	}
}

// FuzzReadExport looks for text that makes ReadExport panic, or that it accepts although a class has no school.
func FuzzReadExport(f *testing.F) {
	f.Add(joinLines(header, school, member, class, student, `{"kind":"end","lines":5}`))
	f.Add(joinLines(header, `{"kind":"end","lines":1}`))
	f.Add(joinLines(header, student, `{"kind":"end","lines":2}`))
	f.Add(`{"kind":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := view.ReadExport(strings.NewReader(text))
		if err != nil {
			return
		}
		for id, k := range e.Classes {
			if e.Schools[k.Class.SchoolID] == nil || k.Class.ID != id || k.Class.Sequence < 1 {
				t.Errorf("%+v", k)
			}
		}
		if e.TakenAt.IsZero() {
			t.Error("no time")
		}
	})
}
