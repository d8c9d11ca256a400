package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgo/services/school/openapi"
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
	of := campus{school: "{id}", class: "{id}", code: "{code}", target: person{ID: "{user_id}"}, inClass: person{ID: "{user_id}"}}
	for _, k := range calls() {
		path := strings.TrimPrefix(k.path(of, person{ID: "{user_id}"}), "/api/v1")
		t.Run(k.name, func(t *testing.T) {
			operation, ok := spec.Paths[path][strings.ToLower(k.method)]
			if !ok {
				t.Fatalf("%s is not there", path)
			}
			conditional := k.etag && k.method != "GET" && k.method != "POST"
			want := map[int]bool{304: k.etag && k.method == "GET", 412: conditional, 404: strings.Contains(path, "{"), 422: k.body != nil || k.list, 410: k.name == "accept invite"}
			for _, status := range k.answers {
				want[status] = true
			}
			want[409] = want[409] || k.name == "patch member" || k.name == "delete member" || k.method == "PUT"
			for status, documented := range want {
				if _, has := operation.Responses[fmt.Sprint(status)]; documented && !has {
					t.Errorf("does not have %d", status)
				}
			}
			for status, response := range operation.Responses {
				if status >= "400" && !strings.Contains(string(response.Schema), "problem.Body") {
					t.Errorf("%s is not a problem: %s", status, response.Schema)
				}
				var n int
				if _, err := fmt.Sscan(status, &n); err != nil || !want[n] && !slices.Contains([]int{200, 201, 403}, n) {
					t.Errorf("has %s, which no test gets", status)
				}
			}
			if len(operation.Security) == 0 {
				t.Error("says nothing of security")
			}
			in := map[string]string{}
			for _, p := range operation.Parameters {
				in[p.Name] = p.In
			}
			if (in["body"] == "body") != (k.body != nil) || (in["If-Match"] == "header") != conditional || (in["If-None-Match"] == "header") != want[304] || (in["limit"] == "query") != k.list {
				t.Errorf("parameters are %v", in)
			}
			for _, f := range k.filters {
				if in[f] != "query" {
					t.Errorf("lacks the parameter %s", f)
				}
			}
		})
	}
}
