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
