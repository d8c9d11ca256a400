package page_test

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgo/pkg/page"
	"pgo/pkg/problem"
)

type key struct {
	ID int `json:"id"`
}

// parse is page.Parse for a list whose keys are never negative.
func parse(limit, cursor string) (page.Request[key], error) {
	return page.Parse(url.Values{"limit": {limit}, "cursor": {cursor}}, func(k key) bool { return k.ID >= 0 })
}

func keyOf(s string) key {
	n, _ := strconv.Atoi(s) // the tests make them
	return key{n}
}

func TestPagesCoverTheListOnce(t *testing.T) {
	rows := []int{1, 2, 3, 4, 5, 6, 7}
	var seen []string
	cursor := ""
	for {
		r, err := parse("3", cursor)
		if err != nil {
			t.Fatal(err)
		}
		from := 0
		if r.After != nil {
			from = r.After.ID
		}
		p, err := page.New(rows[from:min(from+r.Limit+1, len(rows))], r.Limit, strconv.Itoa, keyOf)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, p.Items...)
		if p.NextCursor == nil {
			break
		}
		cursor = *p.NextCursor
	}
	if diff := cmp.Diff([]string{"1", "2", "3", "4", "5", "6", "7"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyListIsAnEmptyArray(t *testing.T) {
	p, err := page.New([]int(nil), 20, strconv.Itoa, keyOf)
	if err != nil || p.Items == nil || p.NextCursor != nil {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestParseRejectsInvalidRequests(t *testing.T) {
	for _, tc := range []struct{ name, limit, cursor string }{
		{"limit 0", "0", ""}, {"limit 101", "101", ""}, {"negative", "-1", ""}, {"not a number", "x", ""}, {"huge", "99999999999999999999", ""},
		{"not base64", "", "***"}, {"not JSON", "", "bm9wZQ"}, {"unknown field", "", "eyJ4IjoxfQ"}, {"trailing", "", "eyJpZCI6MX0geA"},
		{"wrong type", "", "eyJpZCI6IngifQ"}, {"too long", "", strings.Repeat("A", 2000)},
		{"not a key of the list", "", "eyJpZCI6LTF9"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parse(tc.limit, tc.cursor)
			p, ok := errors.AsType[*problem.Error](err)
			if !ok || p.Kind != problem.KindInvalid {
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
		r, err := parse("", cursor)
		if _, ok := errors.AsType[*problem.Error](err); err != nil && !ok {
			t.Errorf("got %v, want a problem", err)
		}
		if err == nil && (r.After == nil) != (cursor == "") {
			t.Errorf("cursor %q gives %v", cursor, r.After)
		}
	})
}
