package main

import (
	"net/http"
	"testing"

	"pgo/pkg/testing/servicetest"
)

func ifMatch(tag string) http.Header { return http.Header{"If-Match": {tag}} }

func TestConditionalReads(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	root, p := env.createAdmin(t, s, "root@example.org"), s.signUp("Ada")
	for name, read := range map[string]request{
		"me":   {Method: "GET", Path: "/api/v1/users/me", Token: p.Access},
		"user": {Method: "GET", Path: "/api/v1/users/" + p.ID, Token: root.Access},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.withT(t)
			tag := s.expect(read, 200, "").Header.Get("ETag")
			for value, status := range map[string]int{tag: 304, "W/" + tag: 304, "*": 304, `"0", ` + tag: 304, `"0"`: 200, "nonsense": 200, "": 200} {
				res := s.expect(read.With(func(r *request) { r.Header = http.Header{"If-None-Match": {value}} }), status, "")
				if res.Header.Get("ETag") != tag || status == 304 && len(res.Body) != 0 {
					t.Errorf("If-None-Match %s: ETag %s, body %s", value, res.Header.Get("ETag"), res.Body)
				}
			}
			changed := s.expect(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "Ada " + name}}, 200, "")
			if changed.Header.Get("ETag") == tag {
				t.Error("a change keeps the entity tag")
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
	db := env.DB.Open(t)
	root := env.createAdmin(t, s, "root@example.org")
	for _, tc := range []struct {
		name    string
		request func(p person) request
		ok      int
	}{
		{"patch me", func(p person) request {
			return request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "New"}}
		}, 200},
		{"delete me", func(p person) request {
			return request{Method: "DELETE", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"password": password}}
		}, 204},
		{"patch user", func(p person) request {
			return request{Method: "PATCH", Path: "/api/v1/users/" + p.ID, Token: root.Access, Body: map[string]string{"name": "New", "status": "disabled"}}
		}, 200},
		{"delete user", func(p person) request {
			return request{Method: "DELETE", Path: "/api/v1/users/" + p.ID, Token: root.Access}
		}, 204},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := s.withT(t)
			p := s.signUp("Ada")
			tag := s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "").Header.Get("ETag")
			r := tc.request(p)
			before := dumpTables(t, db)
			for _, old := range []string{`"0"`, `"99"`, `W/"0"`, "1", "", "nonsense", `"x", "y"`} {
				r.Header = ifMatch(old)
				s.expect(r, 412, "precondition_failed")
			}
			if after := dumpTables(t, db); after != before {
				t.Errorf("a rejected change has changed the database:\n%s", servicetest.DiffLines(before, after))
			}
			r.Header = ifMatch(`"0", ` + tag)
			s.expect(r, tc.ok, "")
		})
	}
	t.Run("any version", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		s.expect(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "New"}, Header: ifMatch("*")}, 200, "")
	})
	t.Run("one of many concurrent writes of a version succeeds", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		tag := `"1"`
		for range 5 {
			var all []request
			for _, name := range []string{"Ann", "Bea", "Cleo", "Dora", "Eve", "Fay"} {
				all = append(all, request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": name + tag}, Header: ifMatch(tag)})
			}
			answers := s.sendParallel(all...)
			if got := servicetest.CountStatuses(answers); got[200] != 1 || got[412] != 5 {
				t.Fatalf("statuses are %v, want one 200 and five 412", got)
			}
			me := s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "")
			for _, a := range answers {
				if a.Status == 200 && a.Text("name") != me.Text("name") {
					t.Errorf("%q won, but %q is stored", a.Text("name"), me.Text("name"))
				}
			}
			tag = me.Header.Get("ETag")
		}
	})
}
