package supervise

import (
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	tests := []struct{ name, output, want string }{
		{"JSON", `{"version":"1.2.3","commit":"abc"}` + "\n", "1.2.3"},
		{"JSON without a version", `{"commit":"abc"}`, ""},
		{"half of a JSON object", `{"version":"1.2`, ""},
		{"a line", "1.2.3\n", "1.2.3"},
		{"several lines", "\nweb 1.2.3 \nbuilt yesterday\n", "web 1.2.3"},
		{"nothing", "\n", ""},
		{"a long line", strings.Repeat("1", 500), strings.Repeat("1", maxVersion)},
		{"a letter that is cut", strings.Repeat("1", maxVersion-1) + "é", strings.Repeat("1", maxVersion-1) + "?"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := parseVersion([]byte(test.output)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
