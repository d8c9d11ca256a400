package main

import (
	"maps"
	"slices"
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/services/task/openapi"
)

// TestSpecificationListsStatuses looks for the statuses that the other tests get.
func TestSpecificationListsStatuses(t *testing.T) {
	spec := servicetest.ReadSpecification(t, openapi.JSON)
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			want := map[int]bool{
				k.ok: true, 401: true, 403: k.other == 403, 404: k.outsider != 200, 304: k.seen, 412: k.isWrite(), 409: k.conflict, 422: k.body != nil || k.list,
			}
			spec.AssertCall(t, servicetest.Call{
				Method: k.method, Path: k.path(classroom{graded: person{ID: "{user_id}"}}, "{id}"), Statuses: want,
				Body: k.body != nil, List: k.list, Filters: slices.Collect(maps.Keys(k.filters)),
			})
		})
	}
}
