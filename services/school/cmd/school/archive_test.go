package main

import (
	"testing"
)

// TestArchive archives and restores a class and a school, and looks for what is lost.
func TestArchive(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	c := env.createCampus(t, s)
	class := request{Method: "GET", Path: classes + c.class, Token: c.owner.Token}
	school := request{Method: "GET", Path: schools + "/" + c.school, Token: c.owner.Token}
	restored := func(r request) request {
		return request{Method: "POST", Path: r.Path + "/restore", Token: c.owner.Token}
	}
	listed := func(path string) int {
		return len(s.expect(request{Method: "GET", Path: path, Token: c.owner.Token}, 200, "").Items())
	}
	members := s.listRoles(classes+c.class+"/members", c.owner)

	for _, wrong := range []string{"", "7B", " 7b", "7b "} {
		s.expect(archiveClassRequest(c.owner, c.class, wrong), 422, "validation_failed")
	}
	s.expect(request{Method: "DELETE", Path: class.Path, Token: c.owner.Token, Header: ifMatch("*")}, 415, "unsupported_media_type") // no confirmation at all
	s.expect(class, 200, "")
	s.expect(restored(class), 404, "not_found")
	s.expect(archiveClassRequest(c.owner, c.class, "7b"), 204, "")
	for _, r := range []request{
		class, archiveClassRequest(c.owner, c.class, "7b"), {Method: "GET", Path: class.Path + "/members", Token: c.owner.Token},
		{Method: "PATCH", Path: class.Path, Token: c.owner.Token, Body: map[string]string{"name": "x"}},
		putClassMemberRequest(c.owner, c.class, c.target, "student"), removeClassMemberRequest(c.owner, c.class, c.inClass),
	} {
		s.expect(r, 404, "not_found")
	}
	if live, archived := listed(school.Path+"/classes"), listed(school.Path+"/classes?archived=true"); live != 0 || archived != 2 {
		t.Errorf("%d classes and %d archived ones, want 0 and 2", live, archived)
	}
	s.expect(removeMemberRequest(c.owner, c.school, c.inClass), 204, "") // who does not come back with the class
	s.expect(restored(class), 200, "")
	s.expect(restored(class), 404, "not_found")
	delete(members, c.inClass.ID)
	if got := s.listRoles(classes+c.class+"/members", c.owner); len(got) != len(members) || got[c.classTeacher.ID] != "teacher" || got[c.classStudent.ID] != "student" {
		t.Errorf("the class has %v, want %v", got, members)
	}

	s.expect(archiveSchoolRequest(c.owner, c.school, "lakeside"), 422, "validation_failed")
	s.expect(archiveSchoolRequest(c.owner, c.school, "Lakeside"), 204, "")
	for _, r := range []request{
		school, class, restored(class), archiveSchoolRequest(c.owner, c.school, "Lakeside"), acceptRequest(c.outsider, c.code), setRoleRequest(c.owner, c.school, c.target, "teacher"),
		removeMemberRequest(c.student, c.school, c.student), {Method: "GET", Path: school.Path + "/members", Token: c.owner.Token}, {Method: "GET", Path: school.Path + "/classes", Token: c.owner.Token},
	} {
		s.expect(r, 404, "not_found")
	}
	if live, archived := listed(schools), listed(schools+"?archived=true"); live != 0 || archived != 2 {
		t.Errorf("%d schools and %d archived ones, want 0 and 2", live, archived)
	}
	if got := s.expect(restored(school), 200, ""); got.JSON["archived_at"] != nil || got.Text("name") != "Lakeside" {
		t.Errorf("restored %s", got.Body)
	}
	s.expect(class, 200, "")
	s.acceptInvite(c.outsider, c.code)
}

// TestArchiveEnds makes what was archived older than the time for which it can be restored.
func TestArchiveEnds(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	c := env.createCampus(t, s)
	for table, r := range map[string]request{
		"schools": {Method: "POST", Path: schools + "/" + c.archivedSchool + "/restore", Token: c.owner.Token},
		"classes": {Method: "POST", Path: classes + c.archivedClass + "/restore", Token: c.owner.Token},
	} {
		for _, tc := range []struct {
			days, status int
			code         string
		}{{31, 404, "not_found"}, {29, 200, ""}} {
			if _, err := s.DB.Exec("UPDATE "+table+" SET archived_at = UTC_TIMESTAMP(6) - INTERVAL ? DAY WHERE archived_at IS NOT NULL", tc.days); err != nil {
				t.Fatal(err)
			}
			s.expect(r, tc.status, tc.code)
		}
	}
}
