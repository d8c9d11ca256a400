package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgo/services/task/openapi"
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
		path := strings.TrimPrefix(k.path(cast{graded: person{ID: "{user_id}"}}, "{id}"), "/api/v1")
		t.Run(k.name, func(t *testing.T) {
			operation, ok := spec.Paths[path][strings.ToLower(k.method)]
			if !ok {
				t.Fatal("not there")
			}
			want := map[int]bool{
				k.ok: true, 401: true, 403: k.other == 403, 404: k.stranger != 200, 304: k.seen, 412: k.writes(), 409: k.conflict, 422: k.body != nil || k.list,
			}
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
			if len(operation.Security) == 0 {
				t.Error("needs no token")
			}
			in := map[string]string{}
			for _, p := range operation.Parameters {
				in[p.Name] = p.In
			}
			if (in["body"] == "body") != (k.body != nil) || (in["If-Match"] == "header") != want[412] || (in["If-None-Match"] == "header") != want[304] || (in["limit"] == "query") != k.list {
				t.Errorf("parameters are %v", in)
			}
			for f := range k.filters {
				if in[f] != "query" {
					t.Errorf("does not have %s", f)
				}
			}
		})
	}
}
