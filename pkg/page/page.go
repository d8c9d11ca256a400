// Package page is keyset paging: a list is read in the order of a key, and a cursor holds the key after which the next page
// begins. Rows that are added or removed meanwhile make a page neither repeat nor miss another row.
package page

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"strconv"

	"pgo/pkg/problem"
)

const (
	defaultLimit = 20
	maxLimit     = 100
	maxCursor    = 1024

	// maxBytes bounds the items of a page as JSON, however long the texts in them are. A page has one item at least.
	maxBytes = 1 << 20
)

// Request selects a page. K is the key that orders the list.
type Request[K any] struct {
	Limit int // 1..100; a page of long items has fewer
	After *K  // nil for the first page
}

// Page is one page of a list as it is sent.
type Page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"` // null on the last page
}

// Parse reads the query parameters limit and cursor, or their defaults. It returns a validation_failed problem for an
// invalid limit, and for a cursor that cannot be read or whose key good rejects.
func Parse[K any](q url.Values, good func(K) bool) (Request[K], error) {
	limit, cursor := q.Get("limit"), q.Get("cursor")
	r := Request[K]{Limit: defaultLimit}
	if limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > maxLimit {
			return r, problem.Invalid(problem.Field{Field: "limit", Code: "out_of_range", Message: "must be a number from 1 to 100"})
		}
		r.Limit = n
	}
	if cursor != "" {
		k := new(K)
		if len(cursor) > maxCursor || decodeCursor(cursor, k) != nil || !good(*k) {
			return r, problem.Invalid(problem.Field{Field: "cursor", Code: "invalid_cursor", Message: "must be a next_cursor that this list gave"})
		}
		r.After = k
	}
	return r, nil
}

// New returns the page of rows, which hold one row more than limit if the list goes on. The page ends earlier where its items
// would exceed maxBytes. item converts a row, and key returns an item's key.
func New[R, T, K any](rows []R, limit int, item func(R) T, key func(T) K) (Page[T], error) {
	items, size := make([]T, 0, min(len(rows), limit)), 0
	for _, row := range rows[:cap(items)] {
		next := item(row)
		text, err := json.Marshal(next)
		if err != nil {
			return Page[T]{}, err
		}
		if size += len(text); size > maxBytes && len(items) > 0 {
			break
		}
		items = append(items, next)
	}
	if len(items) == len(rows) {
		return Page[T]{Items: items}, nil
	}
	text, err := json.Marshal(key(items[len(items)-1]))
	if err != nil {
		return Page[T]{}, err
	}
	next := base64.RawURLEncoding.EncodeToString(text)
	return Page[T]{Items: items, NextCursor: &next}, nil
}

func decodeCursor(cursor string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return io.ErrUnexpectedEOF
	}
	return nil
}
