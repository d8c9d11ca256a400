package logview

import (
	"strings"
	"testing"
)

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
