package main

import (
	"fmt"
	"strings"
	"testing"

	"pgo/pkg/event"
	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// withoutFields returns an object without some fields, as events carry it.
func withoutFields(object map[string]any, fields ...string) map[string]any {
	rest := map[string]any{}
	for k, v := range object {
		rest[k] = v
	}
	for _, f := range fields {
		delete(rest, f)
	}
	return rest
}

// TestEvents changes a school and a class in every way: each change is published once with the full state, and the
// sequences have no gaps.
func TestEvents(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	watcher := env.RecordEvents(t, "#")
	s := env.start(t)
	owner, teacher, student := env.personWithName(t, s, "Secret Name"), env.person(t), env.person(t)
	var ofSchool, ofClass []servicetest.ExpectedEvent
	school := func(typ string, data map[string]any) {
		ofSchool = append(ofSchool, servicetest.ExpectedEvent{Type: "school." + typ + ".v1", Data: data})
	}
	class := func(typ string, data map[string]any) {
		ofClass = append(ofClass, servicetest.ExpectedEvent{Type: "class." + typ + ".v1", Data: data})
	}
	member := func(res response) map[string]any { return withoutFields(res.JSON, "name", "version") }

	made := s.expect(request{Method: "POST", Path: schools, Token: owner.Token, Body: map[string]string{"name": " Lakeside ", "timezone": "Europe/Berlin"}}, 201, "")
	id := made.Text("id")
	path := schools + "/" + id
	school("created", made.JSON)
	school("member_added", map[string]any{"school_id": id, "user_id": owner.ID, "role": "owner", "created_at": made.JSON["created_at"], "updated_at": made.JSON["created_at"]})
	school("updated", s.expect(request{Method: "PATCH", Path: path, Token: owner.Token, Body: map[string]string{"name": "Lakeside School"}}, 200, "").JSON)
	school("member_added", member(s.acceptInvite(teacher, s.createInvite(owner, id, "teacher", 1))))
	joined := s.acceptInvite(student, s.createInvite(owner, id, "student", 1))
	school("member_added", member(joined))

	newClass := s.expect(request{Method: "POST", Path: path + "/classes", Token: owner.Token, Body: map[string]string{"name": "7b", "grade": "7"}}, 201, "")
	classID := newClass.Text("id")
	class("created", newClass.JSON)
	class("member_added", member(s.expect(putClassMemberRequest(owner, classID, teacher, "student"), 201, "")))
	teaching := s.expect(putClassMemberRequest(owner, classID, teacher, "teacher"), 200, "")
	class("member_added", member(teaching))
	inClass := s.expect(putClassMemberRequest(teacher, classID, student, "student"), 201, "")
	class("member_added", member(inClass))
	class("updated", s.expect(request{Method: "PATCH", Path: classes + classID, Token: teacher.Token, Body: map[string]string{"grade": ""}}, 200, "").JSON)

	// Rejected calls, calls that change nothing and changes that are private emit no event.
	s.expect(request{Method: "PATCH", Path: path, Token: owner.Token, Body: map[string]string{"name": "Lakeside School"}}, 200, "")
	s.expect(request{Method: "PATCH", Path: path, Token: owner.Token, Body: map[string]string{"name": "x"}, Header: ifMatch(`"0"`)}, 412, "precondition_failed")
	s.expect(putClassMemberRequest(owner, classID, student, "student"), 200, "")
	s.expect(setRoleRequest(owner, id, student, "student"), 200, "")
	s.expect(removeMemberRequest(owner, id, owner), 409, "last_owner")

	school("member_changed", member(s.expect(setRoleRequest(owner, id, teacher, "student"), 200, "")))
	class("member_removed", member(teaching)) // with the last role
	s.expect(removeMemberRequest(student, id, student), 204, "")
	class("member_removed", member(inClass))
	school("member_removed", member(joined))
	s.expect(putClassMemberRequest(owner, classID, teacher, "student"), 201, "")
	ofClass = append(ofClass, servicetest.ExpectedEvent{Type: "class.member_added.v1"})
	s.expect(archiveClassRequest(owner, classID, "7b"), 204, "")
	class("updated", s.expect(request{Method: "GET", Path: path + "/classes?archived=true", Token: owner.Token}, 200, "").Items()[0])
	class("updated", s.expect(request{Method: "POST", Path: classes + classID + "/restore", Token: owner.Token}, 200, "").JSON)
	s.expect(archiveSchoolRequest(owner, id, "Lakeside School"), 204, "")
	school("updated", withoutFields(s.expect(request{Method: "GET", Path: schools + "?archived=true", Token: owner.Token}, 200, "").Items()[0], "my_role"))
	school("updated", s.expect(request{Method: "POST", Path: path + "/restore", Token: owner.Token}, 200, "").JSON)

	for subject, want := range map[string][]servicetest.ExpectedEvent{id: ofSchool, classID: ofClass} {
		watcher.ExpectEvents(t, "school", subject, want)
	}
	for _, e := range watcher.All() {
		for _, secret := range []string{"Secret Name", "example.org", owner.Token} {
			if e.Source == "school" && strings.Contains(string(e.Data), secret) {
				t.Errorf("%s shows %q", e.Type, secret)
			}
		}
	}
}

// TestSequencesHaveNoGapsUnderLoad changes one school and one class from many sides at once, on two instances.
func TestSequencesHaveNoGapsUnderLoad(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	watcher := env.RecordEvents(t, "school.#", "class.#")
	a, b := env.start(t), env.start(t)
	c := env.createCampus(t, a)
	code := a.createInvite(c.owner, c.school, "student", 100)
	var requests [2][]request
	for i := range 10 {
		p := env.person(t)
		requests[i%2] = append(requests[i%2], acceptRequest(p, code), request{Method: "PATCH", Path: schools + "/" + c.school, Token: c.owner.Token, Body: map[string]string{"name": fmt.Sprint(i)}})
		requests[i/5] = append(requests[i/5], putClassMemberRequest(c.owner, c.class, c.target, []string{"student", "student"}[i%2]), removeClassMemberRequest(c.admin, c.class, c.target),
			setRoleRequest(c.owner, c.school, c.teacher, []string{"admin", "student", "teacher"}[i%3]), request{Method: "PATCH", Path: classes + c.class, Token: c.classTeacher.Token, Body: map[string]string{"name": fmt.Sprint(i)}})
	}
	other := make(chan []response, 1)
	go func() { other <- b.sendParallel(requests[1]...) }()
	for _, res := range append(a.sendParallel(requests[0]...), <-other...) {
		if res.Status >= 500 {
			t.Errorf("got %d %s", res.Status, res.Body)
		}
	}
	for subject, table := range map[string]string{c.school: "schools", c.class: "classes"} {
		want := a.queryInt("SELECT sequence FROM "+table+" WHERE id = ?", subject)
		var events []event.Event
		testkit.Eventually(t, "the events", func() error {
			if events, _ = watcher.EventsAbout(subject); len(events) < want {
				return fmt.Errorf("%d of %d", len(events), want)
			}
			return nil
		})
		for i, e := range events {
			if e.Sequence != int64(i+1) {
				t.Fatalf("event %d has sequence %d", i+1, e.Sequence)
			}
		}
	}
}
