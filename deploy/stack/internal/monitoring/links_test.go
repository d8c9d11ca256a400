package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/stack/internal/checkout"
)

func TestRepositoryPage(t *testing.T) {
	for _, tc := range []struct{ name, remote, want string }{
		{"HTTPS", "https://git.example.org/team/project.git", "https://git.example.org/team/project"},
		{"HTTPS with a token", "https://ci:a-token@git.example.org/team/project", "https://git.example.org/team/project"},
		{"HTTPS with a port", "https://git.example.org:8443/team/project.git", "https://git.example.org:8443/team/project"},
		{"SSH as scp writes it", "git@git.example.org:team/project.git", "https://git.example.org/team/project"},
		{"SSH with a port", "ssh://git@git.example.org:2222/team/project.git", "https://git.example.org/team/project"},
		{"a directory", "/srv/project.git", ""},
		{"a file URL", "file:///srv/project.git", ""},
		{"nothing", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := repositoryPage(tc.remote); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAlertLinks(t *testing.T) {
	root := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("git", append([]string{"-C", root}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	co := checkout.Checkout{Root: root}
	git("init", "--quiet")
	if got := alertLinks(co, "http://127.0.0.1:3000"); got["RUNBOOKS_URL"] != "file://"+root+"/docs/runbooks" || got["GRAFANA_URL"] != "http://127.0.0.1:3000" {
		t.Errorf("without a remote: %v", got)
	}
	git("remote", "add", "origin", "git@git.example.org:team/project.git")
	if got := alertLinks(co, "http://127.0.0.1:3000")["RUNBOOKS_URL"]; got != "https://git.example.org/team/project/blob/HEAD/docs/runbooks" {
		t.Errorf("with a remote: %s", got)
	}
	t.Setenv("RUNBOOKS_URL", "https://wiki.example.org/runbooks/")
	t.Setenv("GRAFANA_URL", "https://grafana.example.org/")
	if got := alertLinks(co, "http://127.0.0.1:3000"); got["RUNBOOKS_URL"] != "https://wiki.example.org/runbooks" || got["GRAFANA_URL"] != "https://grafana.example.org" {
		t.Errorf("as set: %v", got)
	}
}

func TestAlertZone(t *testing.T) {
	if got, err := AlertZone("Asia/Shanghai"); err != nil || got != "Asia/Shanghai" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := AlertZone("Asia/Nowhere"); err == nil || !strings.Contains(err.Error(), `ALERTS_TZ="Asia/Nowhere" is not a time zone`) {
		t.Errorf("an unknown zone: %v", err)
	}
	if got, err := AlertZone(""); err != nil || got == "" {
		t.Errorf("this machine's zone: %q, %v", got, err)
	}
	dir := t.TempDir()
	if err := writeZone(dir, "Asia/Shanghai"); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("/usr/share/zoneinfo/Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "zoneinfo", "Asia", "Shanghai")); err != nil || string(got) != string(want) {
		t.Errorf("the container's zone has %d bytes, %v, want %d", len(got), err, len(want))
	}
}
