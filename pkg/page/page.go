// Package page is keyset paging: a list is read in the order of a key, and a cursor says after which key
// the next page begins. A page never repeats or misses a row because others were added or removed.
package page

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
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

// Parse reads the query parameters limit and cursor; empty ones stand for the defaults. The error is 422
// validation_failed.
func Parse[K any](limit, cursor string) (Request[K], error) {
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
		if len(cursor) > maxCursor || decode(cursor, k) != nil {
			return r, BadCursor()
		}
		r.After = k
	}
	return r, nil
}

// BadCursor is for a cursor that Parse could read and that the list still did not give.
func BadCursor() error {
	return problem.Invalid(problem.Field{Field: "cursor", Code: "invalid_cursor", Message: "must be a next_cursor that this list gave"})
}

// Of makes the page from rows, of which one more than limit was read where there is one; key tells the
// list's key of a row.
func Of[T, K any](rows []T, limit int, key func(T) K) (Page[T], error) {
	if len(rows) <= limit {
		return Page[T]{Items: append([]T{}, rows...)}, nil
	}
	rows = rows[:limit]
	text, err := json.Marshal(key(rows[limit-1]))
	if err != nil {
		return Page[T]{}, err
	}
	next := base64.RawURLEncoding.EncodeToString(text)
	return Page[T]{Items: rows, NextCursor: &next}, nil
}

func decode(cursor string, into any) error {
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
