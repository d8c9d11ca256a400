package cmd

import (
	"slices"
	"strings"
	"testing"
)

func TestSelectLogs(t *testing.T) {
	known := []string{"api", "api.err", "pgo", "web-a", "web-b"}
	tests := []struct{ name, names, want, failure string }{
		{"one", "web-a", "web-a", ""},
		{"stdout and stderr", "api", "api api.err", ""},
		{"a pattern", "web-*", "web-a web-b", ""},
		{"all but pgo", "all", "api api.err web-a web-b", ""},
		{"pgo by its name", "pgo", "pgo", ""},
		{"each once", "web-a all", "web-a api api.err web-b", ""},
		{"an unknown one", "db", "", `there is no log of "db"; there are api, api.err, pgo, web-a, web-b`},
		{"an invalid pattern", "web-[", "", `pattern "web-["`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := selectLogs(known, strings.Fields(test.names))
			if !slices.Equal(got, strings.Fields(test.want)) || (err != nil) != (test.failure != "") || err != nil && !strings.Contains(err.Error(), test.failure) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestFormatPrefixes(t *testing.T) {
	known := []string{"a", "b", "c"}
	if got := formatPrefixes(known, []string{"b"}, true); got["b"] != "" {
		t.Errorf("of a single log: %q", got["b"])
	}
	if got := formatPrefixes(known, []string{"a", "b"}, false); got["b"] != "b            | " {
		t.Errorf("without colors: %q", got["b"])
	}
	// The color of a log depends on the known logs alone.
	both, two := formatPrefixes(known, known, true), formatPrefixes(known, []string{"b", "c"}, true)
	if both["b"] != two["b"] || both["b"] == both["c"] || !strings.HasPrefix(both["b"], "\x1b[33mb") {
		t.Errorf("with colors: %q and %q", both, two)
	}
}
