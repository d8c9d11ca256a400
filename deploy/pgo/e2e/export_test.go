package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExportSystemd(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  web: {command: ACTOR, args: [actor, web, ready], listeners: {http: "127.0.0.1:18081"}, ready: {notify: true}}
  db: {kind: infra, command: sleep, args: ["1000"]}
`)
	printed := s.mustRun("export", "systemd")
	dir := t.TempDir()
	written := s.mustRun("export", "systemd", "--dir", dir)
	for _, name := range []string{"pgo-web-http.socket", "pgo-web.service", "pgo-db.service", "pgo.target"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(printed, "# "+name+"\n"+string(content)) || !strings.Contains(written, filepath.Join(dir, name)+"\n") {
			t.Errorf("%s: %v\n%s", name, err, printed)
		}
	}
	if only := s.mustRun("export", "systemd", "db"); strings.Contains(only, "pgo-web") {
		t.Errorf("only db:\n%s", only)
	}
	s.assertFails(exitFailed, []string{`there is no process "nobody"`}, "export", "systemd", "nobody")
	s.assertFails(exitFailed, []string{"no such file"}, "export", "systemd", "--dir", filepath.Join(dir, "none"))
	// While services run, only a deploy or a rollback may roll their files back.
	s.assertFails(exitUsage, []string{"pgo.settle.service"}, "host", "recover")
}

// Units that hosts have exported before call pgo host settle, the name of pgo host recover for one more release.
func TestHostSettleIsHostRecover(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR}\n")
	s.env = append(s.env, "INVOCATION_ID=0123") // as systemd sets it
	if out := s.mustRun("host", "recover"); out != "" {
		t.Errorf("recover: %s", out)
	}
	if out := s.mustRun("host", "settle"); !strings.Contains(out, `Command "settle" is deprecated, its name is pgo host recover`) {
		t.Errorf("settle: %s", out)
	}
	if out := s.mustRun("host", "--help"); strings.Contains(out, "settle") || !strings.Contains(out, "recover") {
		t.Errorf("help: %s", out)
	}
}
