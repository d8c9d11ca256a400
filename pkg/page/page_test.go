package page_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgo/pkg/page"
	"pgo/pkg/problem"
)

type key struct {
	ID int `json:"id"`
}

func TestPagesCoverTheListOnce(t *testing.T) {
	var all, seen []int
	for i := 1; i <= 7; i++ {
		all = append(all, i)
	}
	cursor := ""
	for {
		r, err := page.Parse[key]("3", cursor)
		if err != nil {
			t.Fatal(err)
		}
		from := 0
		if r.After != nil {
			from = r.After.ID
		}
		p, err := page.Of(all[from:min(from+r.Limit+1, len(all))], r.Limit, func(n int) key { return key{n} })
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, p.Items...)
		if p.NextCursor == nil {
			break
		}
		cursor = *p.NextCursor
	}
	if diff := cmp.Diff(all, seen); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyListIsAnEmptyArray(t *testing.T) {
	p, err := page.Of([]int(nil), 20, func(n int) key { return key{n} })
	if err != nil || p.Items == nil || p.NextCursor != nil {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	for _, tc := range []struct{ name, limit, cursor string }{
		{"limit 0", "0", ""}, {"limit 101", "101", ""}, {"negative", "-1", ""}, {"not a number", "x", ""}, {"huge", "99999999999999999999", ""},
		{"not base64", "", "***"}, {"not JSON", "", "bm9wZQ"}, {"unknown field", "", "eyJ4IjoxfQ"}, {"trailing", "", "eyJpZCI6MX0geA"},
		{"wrong type", "", "eyJpZCI6IngifQ"}, {"too long", "", strings.Repeat("A", 2000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := page.Parse[key](tc.limit, tc.cursor)
			p, ok := errors.AsType[*problem.Error](err)
			if !ok || p.Status != http.StatusUnprocessableEntity {
				t.Errorf("got %v, want 422", err)
			}
		})
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("eyJpZCI6MX0")
	f.Add("")
	f.Add("bnVsbA")
	f.Fuzz(func(t *testing.T, cursor string) {
		r, err := page.Parse[key]("", cursor)
		if _, ok := errors.AsType[*problem.Error](err); err != nil && !ok {
			t.Errorf("got %v, want a problem", err)
		}
		if err == nil && (r.After == nil) != (cursor == "") {
			t.Errorf("cursor %q gives %v", cursor, r.After)
		}
	})
}
