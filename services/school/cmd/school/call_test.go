package main

import (
	"strings"
	"testing"
)

// campus is a school with everybody who can call: fresh, so that calls do not disturb each other.
type campus struct {
	s                          *testClient
	school, class, code        string
	owner, admin               person
	teacher, student           person // of the school, not in the class
	classTeacher, classStudent person
	target, inClass            person // students whom calls are about
	outsider, stranger, root   person // of no school, the owner of another one, a platform admin
}

func (w *world) campus(t testing.TB, s *testClient) campus {
	t.Helper()
	s = s.in(t)
	c := campus{
		s: s, owner: w.person(t), admin: w.person(t), teacher: w.person(t), student: w.person(t), classTeacher: w.person(t), classStudent: w.person(t),
		target: w.person(t), inClass: w.person(t), outsider: w.person(t), stranger: w.person(t), root: w.withRole(t, "admin"),
	}
	s.makeSchool(c.stranger)
	c.school = s.makeSchool(c.owner)
	s.join(c.owner, c.school, "admin", c.admin)
	s.join(c.owner, c.school, "teacher", c.teacher, c.classTeacher)
	s.join(c.owner, c.school, "student", c.student, c.classStudent, c.target, c.inClass)
	c.class = s.makeClass(c.owner, c.school, "7b")
	s.want(putInClass(c.owner, c.class, c.classTeacher, "teacher"), 201, "")
	s.want(putInClass(c.owner, c.class, c.classStudent, "student"), 201, "")
	s.want(putInClass(c.owner, c.class, c.inClass, "student"), 201, "")
	c.code = s.invite(c.owner, c.school, "student", 10)
	return c
}

// everybody is the columns of the table of calls.
var everybody = []struct {
	name string
	is   func(campus) person
}{
	{"nobody", func(campus) person { return person{} }},
	{"outsider", func(c campus) person { return c.outsider }},
	{"owner of another school", func(c campus) person { return c.stranger }},
	{"platform admin", func(c campus) person { return c.root }},
	{"student", func(c campus) person { return c.student }},
	{"teacher", func(c campus) person { return c.teacher }},
	{"student of the class", func(c campus) person { return c.classStudent }},
	{"teacher of the class", func(c campus) person { return c.classTeacher }},
	{"admin", func(c campus) person { return c.admin }},
	{"owner", func(c campus) person { return c.owner }},
}

// call is one call of the API with what makes it succeed.
type call struct {
	name, method string
	path         func(c campus, caller person) string
	body         func() map[string]any // nil: takes none
	optional     []string              // fields that may be missing
	blank        []string              // fields that may be empty
	list         bool                  // takes limit and cursor
	filters      []string              // and these
	etag         bool                  // has a version: conditional
	answers      [10]int               // for everybody, in their order
}

func at(pattern string) func(campus, person) string {
	return func(c campus, caller person) string {
		return strings.NewReplacer("{school}", c.school, "{class}", c.class, "{code}", c.code, "{target}", c.target.ID, "{in_class}", c.inClass.ID, "{self}", caller.ID).Replace("/api/v1" + pattern)
	}
}

func fields(all map[string]any) func() map[string]any { return func() map[string]any { return all } }

// calls is the School section of the API with who may do what: a call is refused to those who may not know of the
// school (404) and to its members whose role does not do (403).
func calls() []call {
	return []call{
		//                                                                                            nobody outsider stranger root student teacher class-s class-t admin owner
		{name: "create school", method: "POST", path: at("/schools"), etag: true, answers: [10]int{401, 201, 201, 201, 201, 201, 201, 201, 201, 201},
			body: fields(map[string]any{"name": "New", "timezone": "Asia/Tokyo"})},
		{name: "list schools", method: "GET", path: at("/schools"), list: true, answers: [10]int{401, 200, 200, 200, 200, 200, 200, 200, 200, 200}},
		{name: "get school", method: "GET", path: at("/schools/{school}"), etag: true, answers: [10]int{401, 404, 404, 404, 200, 200, 200, 200, 200, 200}},
		{name: "patch school", method: "PATCH", path: at("/schools/{school}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 200, 200},
			body: fields(map[string]any{"name": "Renamed", "timezone": "America/Lima"}), optional: []string{"name", "timezone"}},
		{name: "delete school", method: "DELETE", path: at("/schools/{school}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 403, 204}},

		{name: "list members", method: "GET", path: at("/schools/{school}/members"), list: true, filters: []string{"role"}, answers: [10]int{401, 404, 404, 404, 200, 200, 200, 200, 200, 200}},
		{name: "patch member", method: "PATCH", path: at("/schools/{school}/members/{target}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 200, 200},
			body: fields(map[string]any{"role": "teacher"})},
		{name: "delete member", method: "DELETE", path: at("/schools/{school}/members/{target}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 204, 204}},
		{name: "leave", method: "DELETE", path: at("/schools/{school}/members/{self}"), etag: true, answers: [10]int{401, 404, 404, 404, 204, 204, 204, 204, 204, 409}},

		{name: "invite students", method: "POST", path: at("/schools/{school}/invites"), answers: [10]int{401, 404, 404, 404, 403, 201, 403, 201, 201, 201},
			body: func() map[string]any { return newInvite("student", 30) }},
		{name: "invite teachers", method: "POST", path: at("/schools/{school}/invites"), answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 201, 201},
			body: func() map[string]any { return newInvite("teacher", 1) }},
		{name: "invite admins", method: "POST", path: at("/schools/{school}/invites"), answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 201, 201},
			body: func() map[string]any { return newInvite("admin", 10_000) }},
		{name: "list invites", method: "GET", path: at("/schools/{school}/invites"), list: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 200, 200}},
		{name: "delete invite", method: "DELETE", path: at("/invites/{code}"), answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 204, 204}},
		{name: "accept invite", method: "POST", path: at("/invites/{code}/accept"), answers: [10]int{401, 201, 201, 201, 409, 409, 409, 409, 409, 409}},

		{name: "create class", method: "POST", path: at("/schools/{school}/classes"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 201, 201},
			body: fields(map[string]any{"name": "8a", "grade": "8"}), optional: []string{"grade"}, blank: []string{"grade"}},
		{name: "list classes", method: "GET", path: at("/schools/{school}/classes"), list: true, answers: [10]int{401, 404, 404, 404, 200, 200, 200, 200, 200, 200}},
		{name: "get class", method: "GET", path: at("/classes/{class}"), etag: true, answers: [10]int{401, 404, 404, 404, 200, 200, 200, 200, 200, 200}},
		{name: "patch class", method: "PATCH", path: at("/classes/{class}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 200, 200, 200},
			body: fields(map[string]any{"name": "7c", "grade": "7"}), optional: []string{"name", "grade"}, blank: []string{"grade"}},
		{name: "delete class", method: "DELETE", path: at("/classes/{class}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 204, 204}},

		{name: "list class members", method: "GET", path: at("/classes/{class}/members"), list: true, filters: []string{"role"}, answers: [10]int{401, 404, 404, 404, 403, 403, 200, 200, 200, 200}},
		{name: "put class member", method: "PUT", path: at("/classes/{class}/members/{target}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 201, 201, 201},
			body: fields(map[string]any{"role": "student"})},
		{name: "put class member again", method: "PUT", path: at("/classes/{class}/members/{in_class}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 200, 200, 200},
			body: fields(map[string]any{"role": "student"})},
		{name: "delete class member", method: "DELETE", path: at("/classes/{class}/members/{in_class}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 204, 204, 204}},
	}
}

// ok is the status when the call succeeds.
func (k call) ok() int {
	for _, status := range k.answers {
		if status < 300 {
			return status
		}
	}
	return 0
}

// caller is somebody for whom the call succeeds.
func (k call) caller(c campus) person {
	for i := len(everybody) - 1; i >= 0; i-- {
		if k.answers[i] < 300 {
			return everybody[i].is(c)
		}
	}
	return person{}
}

func (k call) request(c campus, caller person) request {
	r := request{Method: k.method, Path: k.path(c, caller), Token: caller.Token}
	if k.body != nil {
		r.Body = k.body()
	}
	return r
}

// TestWhoMayDoWhat makes every call as everybody. What is refused changes nothing.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	codes := map[int]string{401: "unauthenticated", 403: "forbidden", 404: "not_found"}
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			c := w.campus(t, s)
			before := dump(t, s.DB)
			for i, who := range everybody {
				if status := k.answers[i]; status >= 400 {
					code := codes[status]
					switch {
					case k.name == "leave" && status == 409:
						code = "last_owner"
					case status == 409:
						code = "already_member"
					}
					caller := who.is(c)
					if k.name == "leave" && caller.ID == "" {
						caller.ID = c.owner.ID
					}
					c.s.want(k.request(c, caller), status, code)
				}
			}
			if after := dump(t, s.DB); after != before {
				t.Errorf("what was refused has changed something")
			}
			for i, who := range everybody {
				if k.answers[i] < 300 {
					c := w.campus(t, s)
					c.s.want(k.request(c, who.is(c)), k.answers[i], "")
				}
			}
		})
	}
}
