package main

import (
	"strings"
	"testing"
)

// campus is a new school with a person of each kind, so that calls do not affect each other.
type campus struct {
	s                          *testClient
	school, class, code        string
	archivedSchool             string // with the same members
	archivedClass              string
	owner, admin               person
	teacher, student           person // of the school, not in the class
	classTeacher, classStudent person
	target, inClass            person // students that calls change
	outsider                   person // of no school
	otherOwner                 person // of another school
	platformAdmin              person
}

func (env *testEnv) createCampus(t testing.TB, s *testClient) campus {
	t.Helper()
	s = s.withT(t)
	c := campus{
		s: s, owner: env.person(t), admin: env.person(t), teacher: env.person(t), student: env.person(t), classTeacher: env.person(t), classStudent: env.person(t),
		target: env.person(t), inClass: env.person(t), outsider: env.person(t), otherOwner: env.person(t), platformAdmin: env.personWithRole(t, "admin"),
	}
	s.createSchool(c.otherOwner)
	c.school = s.createSchool(c.owner)
	s.addMembers(c.owner, c.school, "admin", c.admin)
	s.addMembers(c.owner, c.school, "teacher", c.teacher, c.classTeacher)
	s.addMembers(c.owner, c.school, "student", c.student, c.classStudent, c.target, c.inClass)
	c.class = s.createClass(c.owner, c.school, "7b")
	s.expect(putClassMemberRequest(c.owner, c.class, c.classTeacher, "teacher"), 201, "")
	s.expect(putClassMemberRequest(c.owner, c.class, c.classStudent, "student"), 201, "")
	s.expect(putClassMemberRequest(c.owner, c.class, c.inClass, "student"), 201, "")
	c.code = s.createInvite(c.owner, c.school, "student", 10)
	c.archivedClass = s.createClass(c.owner, c.school, "6b")
	s.expect(archiveClassRequest(c.owner, c.archivedClass, "6b"), 204, "")
	c.archivedSchool = s.createSchool(c.owner)
	s.addMembers(c.owner, c.archivedSchool, "admin", c.admin)
	s.addMembers(c.owner, c.archivedSchool, "teacher", c.teacher, c.classTeacher)
	s.addMembers(c.owner, c.archivedSchool, "student", c.student, c.classStudent)
	s.expect(archiveSchoolRequest(c.owner, c.archivedSchool, "Lakeside"), 204, "")
	return c
}

// callers lists the columns of the table of calls.
var callers = []struct {
	name string
	is   func(campus) person
}{
	{"anonymous", func(campus) person { return person{} }},
	{"outsider", func(c campus) person { return c.outsider }},
	{"owner of another school", func(c campus) person { return c.otherOwner }},
	{"platform admin", func(c campus) person { return c.platformAdmin }},
	{"student", func(c campus) person { return c.student }},
	{"teacher", func(c campus) person { return c.teacher }},
	{"student of the class", func(c campus) person { return c.classStudent }},
	{"teacher of the class", func(c campus) person { return c.classTeacher }},
	{"admin", func(c campus) person { return c.admin }},
	{"owner", func(c campus) person { return c.owner }},
}

// call describes a call of the API and the conditions under which it succeeds.
type call struct {
	name, method string
	path         func(c campus, caller person) string
	body         func() map[string]any // nil: takes none
	optional     []string              // fields that may be missing
	blank        []string              // fields that may be empty
	list         bool                  // takes limit and cursor
	filters      []string              // other parameters
	etag         bool                  // has a version: conditional
	answers      [10]int               // by caller, in the order of callers
}

func pathOf(pattern string) func(campus, person) string {
	return func(c campus, caller person) string {
		return strings.NewReplacer("{school}", c.school, "{archived_school}", c.archivedSchool, "{archived_class}", c.archivedClass, "{class}", c.class, "{code}", c.code, "{target}", c.target.ID, "{in_class}", c.inClass.ID, "{self}", caller.ID).Replace("/api/v1" + pattern)
	}
}

func bodyOf(all map[string]any) func() map[string]any { return func() map[string]any { return all } }

// calls returns the calls of the School API with the status for each caller: 404 for people who may not know of the school,
// and 403 for members without the permission.
func calls() []call {
	return []call{
		//                                                                                            anon   outsider other-o  p-admin student teacher class-s class-t admin owner
		{name: "create school", method: "POST", path: pathOf("/schools"), etag: true, answers: [10]int{401, 201, 201, 201, 201, 201, 201, 201, 201, 201},
			body: bodyOf(map[string]any{"name": "New", "timezone": "Asia/Tokyo"})},
		{name: "list schools", method: "GET", path: pathOf("/schools"), list: true, filters: []string{"archived"}, answers: [10]int{401, 200, 200, 200, 200, 200, 200, 200, 200, 200}},
		{name: "get school", method: "GET", path: pathOf("/schools/{school}"), etag: true, answers: [10]int{401, 404, 404, 404, 200, 200, 200, 200, 200, 200}},
		{name: "patch school", method: "PATCH", path: pathOf("/schools/{school}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 200, 200},
			body: bodyOf(map[string]any{"name": "Renamed", "timezone": "America/Lima"}), optional: []string{"name", "timezone"}},
		{name: "delete school", method: "DELETE", path: pathOf("/schools/{school}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 403, 204},
			body: bodyOf(map[string]any{"name": "Lakeside"})},
		{name: "restore school", method: "POST", path: pathOf("/schools/{archived_school}/restore"), answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 403, 200}},

		{name: "list members", method: "GET", path: pathOf("/schools/{school}/members"), list: true, filters: []string{"role"}, answers: [10]int{401, 404, 404, 404, 200, 200, 200, 200, 200, 200}},
		{name: "patch member", method: "PATCH", path: pathOf("/schools/{school}/members/{target}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 200, 200},
			body: bodyOf(map[string]any{"role": "teacher"})},
		{name: "delete member", method: "DELETE", path: pathOf("/schools/{school}/members/{target}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 204, 204}},
		{name: "leave", method: "DELETE", path: pathOf("/schools/{school}/members/{self}"), etag: true, answers: [10]int{401, 404, 404, 404, 204, 204, 204, 204, 204, 409}},

		{name: "invite students", method: "POST", path: pathOf("/schools/{school}/invites"), answers: [10]int{401, 404, 404, 404, 403, 201, 403, 201, 201, 201},
			body: func() map[string]any { return inviteBody("student", 30) }},
		{name: "invite teachers", method: "POST", path: pathOf("/schools/{school}/invites"), answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 201, 201},
			body: func() map[string]any { return inviteBody("teacher", 1) }},
		{name: "invite admins", method: "POST", path: pathOf("/schools/{school}/invites"), answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 201, 201},
			body: func() map[string]any { return inviteBody("admin", 10_000) }},
		{name: "list invites", method: "GET", path: pathOf("/schools/{school}/invites"), list: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 200, 200}},
		{name: "delete invite", method: "DELETE", path: pathOf("/invites/{code}"), answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 204, 204}},
		{name: "accept invite", method: "POST", path: pathOf("/invites/{code}/accept"), answers: [10]int{401, 201, 201, 201, 409, 409, 409, 409, 409, 409}},

		{name: "create class", method: "POST", path: pathOf("/schools/{school}/classes"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 201, 201},
			body: bodyOf(map[string]any{"name": "8a", "grade": "8"}), optional: []string{"grade"}, blank: []string{"grade"}},
		{name: "list classes", method: "GET", path: pathOf("/schools/{school}/classes"), list: true, filters: []string{"archived"}, answers: [10]int{401, 404, 404, 404, 200, 200, 200, 200, 200, 200}},
		{name: "get class", method: "GET", path: pathOf("/classes/{class}"), etag: true, answers: [10]int{401, 404, 404, 404, 200, 200, 200, 200, 200, 200}},
		{name: "patch class", method: "PATCH", path: pathOf("/classes/{class}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 200, 200, 200},
			body: bodyOf(map[string]any{"name": "7c", "grade": "7"}), optional: []string{"name", "grade"}, blank: []string{"grade"}},
		{name: "delete class", method: "DELETE", path: pathOf("/classes/{class}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 204, 204},
			body: bodyOf(map[string]any{"name": "7b"})},
		{name: "restore class", method: "POST", path: pathOf("/classes/{archived_class}/restore"), answers: [10]int{401, 404, 404, 404, 403, 403, 403, 403, 200, 200}},

		{name: "list class members", method: "GET", path: pathOf("/classes/{class}/members"), list: true, filters: []string{"role"}, answers: [10]int{401, 404, 404, 404, 403, 403, 200, 200, 200, 200}},
		{name: "put class member", method: "PUT", path: pathOf("/classes/{class}/members/{target}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 201, 201, 201},
			body: bodyOf(map[string]any{"role": "student"})},
		{name: "put class member again", method: "PUT", path: pathOf("/classes/{class}/members/{in_class}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 200, 200, 200},
			body: bodyOf(map[string]any{"role": "student"})},
		{name: "delete class member", method: "DELETE", path: pathOf("/classes/{class}/members/{in_class}"), etag: true, answers: [10]int{401, 404, 404, 404, 403, 403, 403, 204, 204, 204}},
	}
}

// successStatus returns the status of the call when it succeeds.
func (k call) successStatus() int {
	for _, status := range k.answers {
		if status < 300 {
			return status
		}
	}
	return 0
}

// permittedCaller returns a person for whom the call succeeds.
func (k call) permittedCaller(c campus) person {
	for i := len(callers) - 1; i >= 0; i-- {
		if k.answers[i] < 300 {
			return callers[i].is(c)
		}
	}
	return person{}
}

func (k call) newRequest(c campus, caller person) request {
	r := request{Method: k.method, Path: k.path(c, caller), Token: caller.Token}
	if k.body != nil {
		r.Body = k.body()
	}
	return r
}

// TestPermissions makes every call as every caller, and checks that rejected calls change nothing.
func TestPermissions(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	codes := map[int]string{401: "unauthenticated", 403: "forbidden", 404: "not_found"}
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			c := env.createCampus(t, s)
			before := dumpTables(t, s.DB)
			for i, who := range callers {
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
					c.s.expect(k.newRequest(c, caller), status, code)
				}
			}
			if after := dumpTables(t, s.DB); after != before {
				t.Errorf("rejected calls have changed the database")
			}
			for i, who := range callers {
				if k.answers[i] < 300 {
					if k.method != "GET" { // a read leaves the campus as it is
						c = env.createCampus(t, s)
					}
					c.s.expect(k.newRequest(c, who.is(c)), k.answers[i], "")
				}
			}
		})
	}
}
