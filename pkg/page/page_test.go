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

// TestPagesAreBoundedInBytes pages through a list of items that are longer than they look: each "<" takes six bytes in JSON.
func TestPagesAreBoundedInBytes(t *testing.T) {
	const mebibyte = 1 << 20
	lengths := []int{10, 60_000, 60_000, 60_000, 10, 300_000, 10, 10} // the item of 300,000 exceeds a page by itself
	asItem := func(i int) string { return strings.Repeat("<", lengths[i]) }
	var pages [][]int
	for from := 0; from < len(lengths); {
		var rows []int
		for i := from; i < len(lengths); i++ {
			rows = append(rows, i)
		}
		next := from
		p, err := page.New(rows, 100, asItem, func(string) key { return key{next} })
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for i, item := range p.Items {
			if item != asItem(from+i) {
				t.Fatalf("item %d has %d letters", from+i, len(item))
			}
			size += 6 * len(item)
		}
		if size > mebibyte && len(p.Items) > 1 {
			t.Errorf("a page of %d items has %d bytes", len(p.Items), size)
		}
		pages = append(pages, rows[:len(p.Items)])
		from += len(p.Items)
		if (p.NextCursor == nil) != (from == len(lengths)) {
			t.Errorf("after %d items the cursor is %v", from, p.NextCursor)
		}
	}
	if diff := cmp.Diff([][]int{{0, 1, 2}, {3, 4}, {5}, {6, 7}}, pages); diff != "" {
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
