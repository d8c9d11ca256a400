package cmd

import (
	"slices"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/control"
)

func TestSelectors(t *testing.T) {
	all := []control.Process{
		{Name: "db"}, {Name: "cache"}, {Name: "gate", After: []string{"db"}}, {Name: "web-a", After: []string{"gate"}},
		{Name: "web-b", After: []string{"gate", "cache"}}, {Name: "web-b", Instance: 1, After: []string{"gate", "cache"}},
	}
	tests := []struct {
		name     string
		selector selector
		names    string
		want     string
	}{
		{"one", selectNamed, "db", "db"},
		{"all instances", selectNamed, "web-b", "web-b web-b"},
		{"a pattern", selectNamed, "web-*", "web-a web-b web-b"},
		{"all", selectNamed, "all", "db cache gate web-a web-b web-b"},
		{"an unknown one", selectNamed, "api", ""},
		{"an invalid pattern", selectNamed, "web-[", ""},
		{"in the order of the processes", selectNamed, "cache db", "db cache"},
		{"no dependencies", selectWithDependencies, "db", "db"},
		{"dependencies of dependencies", selectWithDependencies, "web-a", "db gate web-a"},
		{"dependencies of instances", selectWithDependencies, "web-b", "db cache gate web-b web-b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range test.selector(all, strings.Fields(test.names)) {
				got = append(got, p.Name)
			}
			if !slices.Equal(got, strings.Fields(test.want)) {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}
