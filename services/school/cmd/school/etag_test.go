package main

import (
	"net/http"
	"testing"

	"pgo/pkg/testing/servicetest"
)

func TestConditionalReads(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	c := env.createCampus(t, s)
	for name, path := range map[string]string{"school": schools + "/" + c.school, "class": classes + c.class} {
		t.Run(name, func(t *testing.T) {
			s := s.withT(t)
			read := request{Method: "GET", Path: path, Token: c.student.Token}
			tag := s.expect(read, 200, "").Header.Get("ETag")
			for value, status := range map[string]int{tag: 304, "W/" + tag: 304, "*": 304, `"0", ` + tag: 304, `"0"`: 200, "nonsense": 200, "": 200} {
				res := s.expect(read.With(func(r *request) { r.Header = http.Header{"If-None-Match": {value}} }), status, "")
				if res.Header.Get("ETag") != tag || status == 304 && len(res.Body) != 0 {
					t.Errorf("If-None-Match %s: ETag %s, body %s", value, res.Header.Get("ETag"), res.Body)
				}
			}
			patch := request{Method: "PATCH", Path: path, Token: c.owner.Token, Body: map[string]string{"name": "Another"}}
			changed := s.expect(patch, 200, "")
			if changed.Header.Get("ETag") == tag {
				t.Error("a change keeps the entity tag")
			}
			if again := s.expect(patch, 200, ""); again.Header.Get("ETag") != changed.Header.Get("ETag") {
				t.Error("a change to the same values makes a new version")
			}
			if res := s.expect(read.With(func(r *request) { r.Header = http.Header{"If-None-Match": {tag}} }), 200, ""); res.Header.Get("ETag") != changed.Header.Get("ETag") {
				t.Errorf("read with the tag %s after a change to %s", res.Header.Get("ETag"), changed.Header.Get("ETag"))
			}
		})
	}
}

func TestConditionalWrites(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	for _, k := range calls() {
		if !k.etag || k.method == "GET" || k.method == "POST" {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			c := env.createCampus(t, s)
			r := k.newRequest(c, k.permittedCaller(c))
			tag := c.currentTag(k, r)
			before := dumpTables(t, s.DB)
			for _, old := range []string{`"999"`, `W/"999"`, "1", "", "nonsense", `"x", "y"`} {
				r.Header = ifMatch(old)
				c.s.expect(r, 412, "precondition_failed")
			}
			if after := dumpTables(t, s.DB); after != before {
				t.Errorf("a rejected change has changed the database:\n%s", servicetest.DiffLines(before, after))
			}
			r.Header = ifMatch(`"999", W/` + tag) // as the gateway returns the tag of what it compresses
			c.s.expect(r, k.successStatus(), "")
		})
	}
	t.Run("one of many concurrent writes of a version succeeds", func(t *testing.T) {
		c := env.createCampus(t, s)
		path := schools + "/" + c.school
		tag := c.s.expect(request{Method: "GET", Path: path, Token: c.owner.Token}, 200, "").Header.Get("ETag")
		for range 5 {
			var all []request
			for _, name := range []string{"Ann", "Bea", "Cleo", "Dora", "Eve", "Fay"} {
				all = append(all, request{Method: "PATCH", Path: path, Token: c.owner.Token, Body: map[string]string{"name": name + tag}, Header: ifMatch(tag)})
			}
			answers := c.s.sendParallel(all...)
			if got := servicetest.CountStatuses(answers); got[200] != 1 || got[412] != 5 {
				t.Fatalf("statuses are %v, want one 200 and five 412", got)
			}
			now := c.s.expect(request{Method: "GET", Path: path, Token: c.owner.Token}, 200, "")
			for _, a := range answers {
				if a.Status == 200 && a.Text("name") != now.Text("name") {
					t.Errorf("%q won, but %q is read", a.Text("name"), now.Text("name"))
				}
			}
			tag = now.Header.Get("ETag")
		}
	})
	t.Run("membership that starts again has another version", func(t *testing.T) {
		c := env.createCampus(t, s)
		p := c.outsider
		tag := c.s.acceptInvite(p, c.code).Header.Get("ETag")
		c.s.expect(removeMemberRequest(p, c.school, p), 204, "")
		if again := c.s.acceptInvite(p, c.code).Header.Get("ETag"); again == tag {
			t.Errorf("both are %s", tag)
		}
	})
}

// currentTag returns the entity tag of the resource that the request would change; `"0"` of a class membership that does not exist yet.
func (c campus) currentTag(k call, r request) string {
	c.s.t.Helper()
	switch k.name {
	case "patch school", "delete school":
		return c.s.expect(request{Method: "GET", Path: schools + "/" + c.school, Token: c.owner.Token}, 200, "").Header.Get("ETag")
	case "patch class", "delete class":
		return c.s.expect(request{Method: "GET", Path: classes + c.class, Token: c.owner.Token}, 200, "").Header.Get("ETag")
	case "put class member":
		return `"0"`
	case "put class member again", "delete class member":
		return c.s.expect(putClassMemberRequest(c.owner, c.class, c.inClass, "student"), 200, "").Header.Get("ETag")
	case "leave":
		return c.s.expect(setRoleRequest(c.owner, c.school, c.admin, "admin"), 200, "").Header.Get("ETag")
	case "patch member", "delete member":
		return c.s.expect(setRoleRequest(c.owner, c.school, c.target, "student"), 200, "").Header.Get("ETag")
	}
	c.s.t.Fatalf("%s has no version", r.Path)
	return ""
}
