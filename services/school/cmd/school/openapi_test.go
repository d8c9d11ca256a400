package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/services/school/openapi"
)

// TestSpecificationListsStatuses looks for the statuses that the other tests get.
func TestSpecificationListsStatuses(t *testing.T) {
	spec := servicetest.ReadSpecification(t, openapi.JSON)
	of := campus{school: "{id}", class: "{id}", archivedSchool: "{id}", archivedClass: "{id}", code: "{code}", target: person{ID: "{user_id}"}, inClass: person{ID: "{user_id}"}}
	for _, k := range calls() {
		path := k.path(of, person{ID: "{user_id}"})
		t.Run(k.name, func(t *testing.T) {
			conditional := k.etag && k.method != "GET" && k.method != "POST"
			want := map[int]bool{304: k.etag && k.method == "GET", 412: conditional, 404: strings.Contains(path, "{"), 422: k.body != nil || k.list, 410: k.name == "accept invite"}
			for _, status := range k.answers {
				want[status] = true
			}
			want[409] = want[409] || k.name == "patch member" || k.name == "delete member" || k.method == "PUT"
			operation := spec.AssertCall(t, servicetest.Call{Method: k.method, Path: path, Statuses: want, Body: k.body != nil, List: k.list, Filters: k.filters})
			for status := range operation.Responses {
				var n int
				if _, err := fmt.Sscan(status, &n); err != nil || !want[n] && !slices.Contains([]int{200, 201, 403}, n) {
					t.Errorf("has %s, which no test gets", status)
				}
			}
		})
	}
}
