package main

import (
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/services/user/openapi"
)

// TestSpecificationListsStatuses looks for the statuses that the other tests get.
func TestSpecificationListsStatuses(t *testing.T) {
	spec := servicetest.ReadSpecification(t, openapi.JSON)
	for _, k := range calls() {
		path := "/auth/sessions/{id}" // the rest of the specification is tested against a server
		if k.name != "end session" {
			path = k.path(t, participants{other: person{ID: "{id}"}})
		}
		path, versioned := strings.CutPrefix(path, "/api/v1")
		if !versioned {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			want := map[int]bool{k.ok: true}
			for _, status := range k.wrong {
				want[status] = true
			}
			want[401] = want[401] || k.who != anyone
			want[403] = k.who == adminOnly || k.name == "login"
			want[404] = strings.Contains(path, "{id}")
			user := strings.HasPrefix(path, "/users/") && path != "/users/me/password"
			want[304] = user && k.method == "GET"
			want[412] = user && k.method != "GET"
			want[409] = k.name == "register" || k.name == "delete me" || k.name == "patch user" || k.name == "delete user"
			want[429] = k.name == "login" || k.name == "delete me" || k.name == "change password"
			spec.AssertCall(t, servicetest.Call{Method: k.method, Path: path, Statuses: want, Public: k.who == anyone, Body: k.body != nil, List: k.list, Filters: k.filters})
		})
	}
}
