// Package page is keyset paging: a list is read in the order of a key, and a cursor says after which key
// the next page begins. A page never repeats or misses a row because others were added or removed.
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
)

// Request is which page is asked for. K is the key that the list is ordered by.
type Request[K any] struct {
	Limit int // 1..100
	After *K  // nil for the first page
}

// Page is one page of a list as it is sent.
type Page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"` // null on the last page
}

// Parse reads the query parameters limit and cursor; absent ones stand for the defaults. A cursor whose key is not good
// was not given by the list, as one is not that cannot be read. The error is 422 validation_failed.
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

// New makes the page from rows, of which one more than limit was read where there is one; item tells what a row stands
// for, and key the list's key of an item.
func New[R, T, K any](rows []R, limit int, item func(R) T, key func(T) K) (Page[T], error) {
	items := make([]T, min(len(rows), limit))
	for i := range items {
		items[i] = item(rows[i])
	}
	if len(rows) <= limit {
		return Page[T]{Items: items}, nil
	}
	text, err := json.Marshal(key(items[limit-1]))
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
