package processfile

import (
	"strings"
	"testing"
)

func TestMakeName(t *testing.T) {
	tests := []struct{ text, want string }{
		{"/srv/bin/web", "web"},
		{"./My App.js", "my-app"},
		{"api_v2", "api_v2"},
		{"2fast", "fast"},
		{"all", "app"},
		{"pgo", "app"},
		{"日本", "app"},
		{strings.Repeat("long-", 10), "long-long-long-long-long-long-lo"},
	}
	for _, test := range tests {
		if got := MakeName(test.text); got != test.want {
			t.Errorf("%s: got %q, want %q", test.text, got, test.want)
		}
		if _, err := NewProcess(MakeName(test.text), "x", nil, "/", nil); err != nil {
			t.Errorf("%s: %v", test.text, err)
		}
	}
}

func TestNewProcess(t *testing.T) {
	p, err := NewProcess("web", "bin/web", []string{"-v"}, "/srv", map[string]string{"A": "1"})
	if err != nil || p.Command != "/srv/bin/web" || p.Dir != "/srv" || p.Kind != KindService || p.Instances != 1 || p.Reload.Mode != ReloadRefused || p.Env["A"] != "1" {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := NewProcess("My App", "x", nil, "/", nil); err == nil || !strings.Contains(err.Error(), `"My App" cannot be the name of a process: expected a name of a-z`) {
		t.Errorf("got %v", err)
	}
}
