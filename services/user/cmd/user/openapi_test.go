package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgo/services/user/openapi"
)

// TestTheSpecificationSaysWhatCallsAnswer looks for the statuses that the other tests get.
func TestTheSpecificationSaysWhatCallsAnswer(t *testing.T) {
	var spec struct {
		Paths map[string]map[string]struct {
			Security  []map[string][]string
			Responses map[string]struct {
				Schema json.RawMessage
			}
			Parameters []struct{ Name, In string }
		}
	}
	if err := json.Unmarshal(openapi.JSON, &spec); err != nil {
		t.Fatal(err)
	}
	for _, k := range calls() {
		path := "/auth/sessions/{id}" // the one that needs a server to tell
		if k.name != "end session" {
			path = k.path(t, cast{other: person{ID: "{id}"}})
		}
		path, versioned := strings.CutPrefix(path, "/api/v1")
		if !versioned {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			operation, ok := spec.Paths[path][strings.ToLower(k.method)]
			if !ok {
				t.Fatal("not there")
			}
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
			for status, documented := range want {
				if _, has := operation.Responses[fmt.Sprint(status)]; documented && !has {
					t.Errorf("does not have %d", status)
				}
			}
			for status, response := range operation.Responses {
				if status >= "400" && !strings.Contains(string(response.Schema), "problem.Body") {
					t.Errorf("%s is not a problem: %s", status, response.Schema)
				}
			}
			if (k.who != anyone) != (len(operation.Security) > 0) {
				t.Errorf("security is %v", operation.Security)
			}
			in := map[string]string{}
			for _, p := range operation.Parameters {
				in[p.Name] = p.In
			}
			if (in["body"] == "body") != (k.body != nil) || (in["If-Match"] == "header") != want[412] || (in["If-None-Match"] == "header") != want[304] || (in["limit"] == "query") != k.list {
				t.Errorf("parameters are %v", in)
			}
		})
	}
}
