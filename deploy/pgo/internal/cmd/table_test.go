package cmd

import (
	"bytes"
	"testing"
)

func TestTable(t *testing.T) {
	tests := []struct {
		name   string
		colors []string
		want   string
	}{
		{"plain", nil, "NAME    NOTE\nweb     -\nworker  ok\n"},
		{"colors", []string{headingColor, "32", "31"}, "\x1b[1mNAME    NOTE\x1b[0m\n\x1b[32mweb     -\x1b[0m\n\x1b[31mworker  ok\x1b[0m\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := table{colors: test.colors}
			table.addRow("NAME", "NOTE")
			table.addRow("web", orDash(""))
			table.addRow("worker", orDash("ok"))
			var out bytes.Buffer
			if err := table.print(&out); err != nil || out.String() != test.want {
				t.Errorf("%v, got %q, want %q", err, out.String(), test.want)
			}
		})
	}
}
