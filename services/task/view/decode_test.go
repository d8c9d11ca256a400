package view_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"pgo/pkg/event"
	"pgo/services/task/view"
)

const (
	a = "01900000-0000-7000-8000-000000000001"
	b = "01900000-0000-7000-8000-000000000002"
	c = "01900000-0000-7000-8000-000000000003"
)

func TestDecode(t *testing.T) {
	long := strings.Repeat("n", 256)
	for _, tc := range []struct {
		name, typ, subject, data string
		want                     view.Change // nil: not for this service
		err                      string
	}{
		{"person", "user.created.v1", a, `{"id":"` + a + `","name":"Ada","email":"ada@example.org","role":"user"}`, view.Person{ID: a, Name: "Ada", Email: "ada@example.org", Sequence: 7}, ""},
		{"disabled person", "user.disabled.v1", a, `{"id":"` + a + `","name":"Ada"}`, view.Person{ID: a, Name: "Ada", Sequence: 7}, ""},
		{"deleted person", "user.deleted.v1", a, `{"id":"` + a + `"}`, view.Person{ID: a, Deleted: true, Sequence: 7}, ""},
		{"school", "school.updated.v1", a, `{"id":"` + a + `","name":"School","timezone":"Europe/Berlin","new_field":{"x":[1]}}`, view.School{ID: a, Name: "School", Timezone: "Europe/Berlin", Sequence: 7}, ""},
		{"archived school", "school.updated.v1", a, `{"id":"` + a + `","name":"School","archived_at":"2030-01-01T00:00:00Z"}`, view.School{ID: a, Name: "School", Archived: true, Sequence: 7}, ""},
		{"restored class", "class.updated.v1", b, `{"id":"` + b + `","school_id":"` + a + `","name":"1a","archived_at":null}`, view.Class{ID: b, SchoolID: a, Name: "1a", Sequence: 7}, ""},
		{"archived class", "class.updated.v1", b, `{"id":"` + b + `","school_id":"` + a + `","name":"1a","archived_at":"2030-01-01T00:00:00Z"}`, view.Class{ID: b, SchoolID: a, Name: "1a", Archived: true, Sequence: 7}, ""},
		{"deleted school", "school.deleted.v1", a, `{"id":"` + a + `"}`, view.School{ID: a, Deleted: true, Sequence: 7}, ""},
		{"member", "school.member_changed.v1", a, `{"school_id":"` + a + `","user_id":"` + b + `","role":"owner"}`, view.Member{SchoolID: a, UserID: b, Role: "owner", Sequence: 7}, ""},
		{"former member", "school.member_removed.v1", a, `{"school_id":"` + a + `","user_id":"` + b + `","role":"student"}`, view.Member{SchoolID: a, UserID: b, Role: "student", Removed: true, Sequence: 7}, ""},
		{"class", "class.created.v1", b, `{"id":"` + b + `","school_id":"` + a + `","name":"1a","grade":1}`, view.Class{ID: b, SchoolID: a, Name: "1a", Sequence: 7}, ""},
		{"deleted class", "class.deleted.v1", b, `{"id":"` + b + `","school_id":"` + a + `"}`, view.Class{ID: b, SchoolID: a, Deleted: true, Sequence: 7}, ""},
		{"class member", "class.member_added.v1", b, `{"class_id":"` + b + `","school_id":"` + a + `","user_id":"` + c + `","role":"student"}`, view.ClassMember{ClassID: b, SchoolID: a, UserID: c, Role: "student", Sequence: 7}, ""},
		{"former class member", "class.member_removed.v1", b, `{"class_id":"` + b + `","school_id":"` + a + `","user_id":"` + c + `","role":"teacher"}`, view.ClassMember{ClassID: b, SchoolID: a, UserID: c, Role: "teacher", Removed: true, Sequence: 7}, ""},

		{"unknown type", "class.painted.v1", b, `{"colour":"red"}`, nil, ""},
		{"next version", "class.created.v2", b, `[]`, nil, ""},
		{"not an object", "class.created.v1", b, `[]`, nil, "decode class.created.v1"},
		{"wrong type", "class.created.v1", b, `{"id":1}`, nil, "decode class.created.v1"},
		{"empty object", "class.created.v1", b, `{}`, nil, "id is not an id"},
		{"no school", "class.member_added.v1", b, `{"class_id":"` + b + `","user_id":"` + c + `","role":"student"}`, nil, "school_id is not an id"},
		{"not an id", "user.created.v1", "x", `{"id":"x","name":"Ada"}`, nil, "id is not an id"},
		{"upper case", "user.created.v1", a, `{"id":"` + strings.ToUpper("01900000-0000-7000-8000-00000000000a") + `","name":"Ada"}`, nil, "id is not an id"},
		{"no name", "user.created.v1", a, `{"id":"` + a + `"}`, nil, "name does not have"},
		{"long name", "user.created.v1", a, `{"id":"` + a + `","name":"` + long + `"}`, nil, "name does not have"},
		{"unknown role", "class.member_added.v1", b, `{"class_id":"` + b + `","school_id":"` + a + `","user_id":"` + c + `","role":"owner"}`, nil, "role is not one of"},
		{"no role", "school.member_added.v1", a, `{"school_id":"` + a + `","user_id":"` + b + `"}`, nil, "role is not one of"},
		{"other subject", "class.created.v1", a, `{"id":"` + b + `","school_id":"` + a + `","name":"1a"}`, nil, "its subject is not"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := view.Decode(event.Event{Type: tc.typ, Subject: tc.subject, Sequence: 7, Data: json.RawMessage(tc.data)})
			if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %+v, %v; want %+v, %q", got, err, tc.want, tc.err)
			}
		})
	}
}

// FuzzDecode looks for data that makes Decode panic, or that it accepts for another subject.
func FuzzDecode(f *testing.F) {
	types := []string{"user.created.v1", "user.deleted.v1", "school.created.v1", "school.deleted.v1", "school.member_added.v1", "school.member_removed.v1", "class.created.v1", "class.deleted.v1", "class.member_added.v1", "class.member_removed.v1", "x"}
	f.Add(uint8(0), a, `{"id":"`+a+`","name":"Ada"}`)
	f.Add(uint8(4), a, `{"school_id":"`+a+`","user_id":"`+b+`","role":"owner"}`)
	f.Add(uint8(8), b, `{"class_id":"`+b+`","school_id":"`+a+`","user_id":"`+c+`","role":"student"}`)
	f.Add(uint8(8), "", `{"class_id":null,"role":[]}`)
	f.Fuzz(func(t *testing.T, kind uint8, subject, data string) {
		e, err := event.New(context.Background(), "school", types[int(kind)%len(types)], subject, 1, json.RawMessage(data))
		if err != nil {
			return // not an event that the broker would deliver
		}
		change, err := view.Decode(e)
		if change == nil || err != nil {
			return
		}
		if id := change.AggregateID(); id != subject || len(id) != 36 {
			t.Errorf("got %+v for subject %q", change, subject)
		}
	})
}
