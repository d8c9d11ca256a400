package main

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
)

func TestAdminCallsRequireAdminRole(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	root := env.createAdmin(t, s, "root@example.org")
	promoted := func(name string) person {
		p := s.signUp(name)
		s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + p.ID, Token: root.Access, Body: map[string]string{"role": "admin"}}, 200, "")
		return s.signIn(p, password)
	}
	disabled, deleted, demoted := promoted("Disabled"), promoted("Deleted"), promoted("Demoted")
	s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + disabled.ID, Token: root.Access, Body: map[string]string{"status": "disabled"}}, 200, "")
	s.expect(request{Method: "DELETE", Path: "/api/v1/users/" + deleted.ID, Token: root.Access}, 204, "")
	s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + demoted.ID, Token: root.Access, Body: map[string]string{"role": "user"}}, 200, "")
	for _, who := range []struct {
		name, token, code string
		status            int
	}{
		{"anonymous", "", "unauthenticated", 401}, {"a user", s.signUp("Ada").Access, "forbidden", 403}, {"an admin", promoted("Boss").Access, "", 200},
		{"a disabled admin", disabled.Access, "unauthenticated", 401}, {"a deleted admin", deleted.Access, "unauthenticated", 401},
		{"a former admin with the old token", demoted.Access, "unauthenticated", 401}, {"a former admin", s.signIn(demoted, password).Access, "forbidden", 403},
	} {
		t.Run(who.name, func(t *testing.T) {
			s := s.withT(t)
			target := s.signUp("Bob")
			path := "/api/v1/users/" + target.ID
			s.expect(request{Method: "GET", Path: "/api/v1/users", Token: who.token}, who.status, who.code)
			s.expect(request{Method: "GET", Path: path, Token: who.token}, who.status, who.code)
			s.expect(request{Method: "PATCH", Path: path, Token: who.token, Body: map[string]string{"name": "Robert"}}, who.status, who.code)
			if who.status == 200 {
				s.expect(request{Method: "DELETE", Path: path, Token: who.token}, 204, "")
				s.expect(request{Method: "GET", Path: path, Token: who.token}, 404, "not_found")
				s.expect(request{Method: "DELETE", Path: path, Token: who.token}, 404, "not_found")
				s.expect(request{Method: "PATCH", Path: path, Token: who.token, Body: map[string]string{"name": "x"}}, 404, "not_found")
				return
			}
			s.expect(request{Method: "DELETE", Path: path, Token: who.token}, who.status, who.code)
			if me := s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: target.Access}, 200, ""); me.Text("name") != "Bob" {
				t.Errorf("changed: %s", me.Body)
			}
		})
	}
}

func TestPatchUser(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	root := env.createAdmin(t, s, "root@example.org")
	p := s.signUp("Ada")
	version := 1.0
	for _, tc := range []struct {
		name         string
		body         map[string]string
		changes      bool
		role, status string
	}{
		{"nothing", map[string]string{}, false, "user", "active"},
		{"same values", map[string]string{"name": "Ada", "role": "user", "status": "active"}, false, "user", "active"},
		{"name", map[string]string{"name": " Ada L. "}, true, "user", "active"},
		{"all at once", map[string]string{"name": "Ada", "role": "admin", "status": "disabled"}, true, "admin", "disabled"},
		{"status", map[string]string{"status": "active"}, true, "admin", "active"},
		{"role", map[string]string{"role": "user"}, true, "user", "active"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := s.withT(t)
			res := s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + p.ID, Token: root.Access, Body: tc.body}, 200, "")
			if tc.changes {
				version++
			}
			if res.JSON["version"] != version || res.Text("role") != tc.role || res.Text("status") != tc.status {
				t.Errorf("got %s, want version %v, %s, %s", res.Body, version, tc.role, tc.status)
			}
			env.RedisLink.Cut() // what the database has, not the cache
			defer env.RedisLink.Restore()
			if read := s.expect(request{Method: "GET", Path: "/api/v1/users/" + p.ID, Token: root.Access}, 200, ""); string(read.Body) != string(res.Body) {
				t.Errorf("answered %s\n but stored %s", res.Body, read.Body)
			}
		})
	}
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	root := env.createAdmin(t, s, "root@example.org")
	names := []string{"100% sure", "100 sure", "a_b", "axb", `back\slash`, "backslash", "Anna", "anton", "ANTJE", "🎈 balloon", "🚗 car", "Zoë", "محمد", "'; DROP"}
	emails := map[string]string{}
	for i, n := range names {
		email := fmt.Sprintf("p%02d_%%@example.org", i)
		emails[n] = email
		s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": email, "password": password, "name": n}}, 201, "")
	}
	byName := func(n string) string {
		return s.listAll(root.Access, url.Values{"q": {emails[n]}})[0].(map[string]any)["id"].(string)
	}
	patch := func(n string, body map[string]string) {
		s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + byName(n), Token: root.Access, Body: body}, 200, "")
	}
	patch("Anna", map[string]string{"role": "admin"})
	patch("anton", map[string]string{"status": "disabled"})
	patch("ANTJE", map[string]string{"role": "admin", "status": "disabled"})
	const rootName = "Administrator"
	for _, tc := range []struct {
		name  string
		query url.Values
		want  []string
	}{
		{"all", nil, append([]string{rootName}, names...)},
		{"empty parameters", url.Values{"q": {""}, "role": {""}, "status": {""}, "cursor": {""}}, append([]string{rootName}, names...)},
		{"case does not matter", url.Values{"q": {"AN"}}, []string{"Anna", "anton", "ANTJE"}},
		{"start, not middle", url.Values{"q": {"nna"}}, nil},
		{"percent", url.Values{"q": {"100%"}}, []string{"100% sure"}},
		{"percent alone", url.Values{"q": {"%"}}, nil},
		{"underscore", url.Values{"q": {"a_"}}, []string{"a_b"}},
		{"backslash", url.Values{"q": {`back\`}}, []string{`back\slash`}},
		{"quote", url.Values{"q": {"';"}}, []string{"'; DROP"}},
		{"emoji", url.Values{"q": {"🎈"}}, []string{"🎈 balloon"}},
		{"right to left", url.Values{"q": {"محم"}}, []string{"محمد"}},
		{"e-mail", url.Values{"q": {"P03"}}, []string{"axb"}},
		{"e-mail with wildcards", url.Values{"q": {"p03_%"}}, []string{"axb"}},
		{"NUL", url.Values{"q": {"\x00"}}, nil},
		{"role", url.Values{"role": {"admin"}}, []string{rootName, "Anna", "ANTJE"}},
		{"status", url.Values{"status": {"disabled"}}, []string{"anton", "ANTJE"}},
		{"role and status", url.Values{"role": {"admin"}, "status": {"active"}}, []string{rootName, "Anna"}},
		{"all filters", url.Values{"q": {"an"}, "role": {"user"}, "status": {"disabled"}}, []string{"anton"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, limit := range []string{"", "1", "2", "100"} {
				query := url.Values{}
				for k, v := range tc.query {
					query[k] = v
				}
				if limit != "" {
					query.Set("limit", limit)
				}
				var got []string
				for _, item := range s.withT(t).listAll(root.Access, query) {
					got = append(got, item.(map[string]any)["name"].(string))
				}
				if !slices.Equal(got, tc.want) {
					t.Errorf("limit %q: got %q, want %q", limit, got, tc.want)
				}
			}
		})
	}
}

// listAll reads every page.
func (s *testClient) listAll(token string, query url.Values) []any {
	s.t.Helper()
	var all []any
	for {
		res := s.expect(request{Method: "GET", Path: "/api/v1/users?" + query.Encode(), Token: token}, 200, "")
		all = append(all, res.JSON["items"].([]any)...)
		next, more := res.JSON["next_cursor"].(string)
		if !more {
			return all
		}
		query.Set("cursor", next)
	}
}

func TestPagesStayConsistentWhileListChanges(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	root := env.createAdmin(t, s, "root@example.org")
	var ids []string
	for range 5 {
		ids = append(ids, s.signUp("Ada").ID)
	}
	first := s.expect(request{Method: "GET", Path: "/api/v1/users?limit=3", Token: root.Access}, 200, "")
	s.expect(request{Method: "DELETE", Path: "/api/v1/users/" + ids[1], Token: root.Access}, 204, "") // the last of the first page: what the cursor names
	late := s.signUp("Late").ID
	second := s.expect(request{Method: "GET", Path: "/api/v1/users?limit=3&cursor=" + first.Text("next_cursor"), Token: root.Access}, 200, "")
	for i, want := range []string{ids[2], ids[3], ids[4]} {
		if got := second.JSON["items"].([]any)[i].(map[string]any)["id"]; got != want {
			t.Errorf("item %d of the second page is %v, want %s", i, got, want)
		}
	}
	third := s.expect(request{Method: "GET", Path: "/api/v1/users?limit=3&cursor=" + second.Text("next_cursor"), Token: root.Access}, 200, "")
	if items := third.JSON["items"].([]any); len(items) != 1 || items[0].(map[string]any)["id"] != late || third.JSON["next_cursor"] != nil {
		t.Errorf("the last page is %s", third.Body)
	}
}
