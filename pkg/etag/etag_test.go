package etag_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"pgo/pkg/etag"
	"pgo/pkg/problem"
)

func TestParseIfMatch(t *testing.T) {
	for _, tc := range []struct {
		name   string
		header []string
		holds  bool
	}{
		{"absent", nil, true}, {"same", []string{`"3"`}, true}, {"other", []string{`"2"`}, false}, {"any", []string{"*"}, true},
		{"list", []string{`"1", "3"`}, true}, {"two headers", []string{`"1"`, `"3"`}, true}, {"weakened by the gateway", []string{`W/"3"`}, true}, {"weak and other", []string{`W/"2"`}, false},
		{"without quotes", []string{"3"}, false}, {"empty", []string{""}, false}, {"any in a list", []string{`"1", *`}, true},
		{"leading zero", []string{`"03"`}, false}, {"with a revision", []string{`"3.9"`}, true}, {"other with a revision", []string{`"2.3"`}, false},
		{"weak with a revision", []string{`W/"3.9"`}, true}, {"leading zero in the revision", []string{`"3.09"`}, false}, {"empty revision", []string{`"3."`}, false}, {"two revisions", []string{`"3.1.2"`}, false}, {"sign", []string{`"+3"`}, false}, {"twice quoted", []string{`""3""`}, false},
		{"not a number", []string{`"abc"`}, false}, {"too large", []string{`"9223372036854775811"`}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			for _, v := range tc.header {
				h.Add("If-Match", v)
			}
			cond := etag.ParseIfMatch(h)
			if cond.IsSet() != (tc.header != nil) {
				t.Errorf("IsSet is %v", cond.IsSet())
			}
			err := cond.Check(3)
			if (err == nil) != tc.holds {
				t.Fatalf("got %v", err)
			}
			if p, ok := errors.AsType[*problem.Error](err); err != nil && (!ok || p.Kind != problem.KindPreconditionFailed) {
				t.Errorf("got %v, want precondition_failed", err)
			}
		})
	}
}

func TestIsNotModified(t *testing.T) {
	for _, tc := range []struct {
		header string
		want   bool
	}{{"", false}, {`"3"`, true}, {`W/"3"`, true}, {`"2"`, false}, {"*", true}, {`"1", "3"`, true}} {
		h := http.Header{}
		if tc.header != "" {
			h.Set("If-None-Match", tc.header)
		}
		if got := etag.IsNotModified(h, etag.Format(3)); got != tc.want {
			t.Errorf("%q: got %v, want %v", tc.header, got, tc.want)
		}
	}
}

func TestIsNotModifiedByRevision(t *testing.T) {
	for header, want := range map[string]bool{`"3.9"`: true, `W/"3.9"`: true, `"3.8"`: false, `"3"`: false, `"2.9"`: false, "*": true} {
		if got := etag.IsNotModified(http.Header{"If-None-Match": {header}}, etag.FormatRevision(3, 9)); got != want {
			t.Errorf("%s: got %v, want %v", header, got, want)
		}
	}
}

func ExampleParseIfMatch() {
	h := http.Header{"If-Match": {`"3"`}}
	cond := etag.ParseIfMatch(h)
	fmt.Println(cond.Check(3) == nil, cond.Check(4) == nil)
	// Output: true false
}

func ExampleFormat() {
	fmt.Println(etag.Format(3))
	// Output: "3"
}
