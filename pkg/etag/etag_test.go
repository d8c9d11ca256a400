package etag_test

import (
	"errors"
	"net/http"
	"testing"

	"pgo/pkg/etag"
	"pgo/pkg/problem"
)

func TestIfMatch(t *testing.T) {
	for _, tc := range []struct {
		name   string
		header []string
		holds  bool
	}{
		{"absent", nil, true}, {"same", []string{`"3"`}, true}, {"other", []string{`"2"`}, false}, {"any", []string{"*"}, true},
		{"list", []string{`"1", "3"`}, true}, {"two headers", []string{`"1"`, `"3"`}, true}, {"weak never matches", []string{`W/"3"`}, false},
		{"without quotes", []string{"3"}, false}, {"empty", []string{""}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			for _, v := range tc.header {
				h.Add("If-Match", v)
			}
			err := etag.ParseIfMatch(h).Check(3)
			if (err == nil) != tc.holds {
				t.Fatalf("got %v", err)
			}
			if p, ok := errors.AsType[*problem.Error](err); err != nil && (!ok || p.Status != http.StatusPreconditionFailed) {
				t.Errorf("got %v, want 412", err)
			}
		})
	}
	var none etag.Condition
	if none.Check(1) != nil {
		t.Error("the zero condition does not hold")
	}
}

func TestNotModified(t *testing.T) {
	for _, tc := range []struct {
		header string
		want   bool
	}{{"", false}, {`"3"`, true}, {`W/"3"`, true}, {`"2"`, false}, {"*", true}, {`"1", "3"`, true}} {
		h := http.Header{}
		if tc.header != "" {
			h.Set("If-None-Match", tc.header)
		}
		if got := etag.IsNotModified(h, 3); got != tc.want {
			t.Errorf("%q: got %v, want %v", tc.header, got, tc.want)
		}
	}
}
