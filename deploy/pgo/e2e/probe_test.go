package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/control"
)

// The path of a probe is relative to the root, as that of a command is, also where the process runs in another directory. While
// the probe fails, list and the failure of up have its last error.
func TestProbeByPath(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  p: {command: ACTOR, args: [actor], cwd: sub, ready: {exec: [bin/probe, ready], within: 10m}, live: {exec: [./bin/probe, live], every: 20ms, failures: 1}}`+"\n")
	script := "#!/bin/sh\n[ -e ../open ] && echo $1 >>../asked && exit\necho the door is shut >&2\nexit 1\n"
	for _, err := range []error{
		os.Mkdir(filepath.Join(s.dir, "bin"), 0o755), os.Mkdir(filepath.Join(s.dir, "sub"), 0o755),
		os.WriteFile(filepath.Join(s.dir, "bin", "probe"), []byte(script), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const reason = "the door is shut"
	s.runPgo("up", "--timeout", "100ms") // it starts the process, which is not ready by then
	eventually(t, "the error is listed", func() error {
		if p := s.listByName()["p"]; p.Status != control.Starting || !strings.Contains(p.Reason, reason) {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	s.assertFails(exitFailed, []string{"p is not ready: not ready after 3s: starting: not ready yet: ", reason}, "up", "--timeout", "3s")
	if out := s.mustRun("list"); !strings.Contains(out, reason) {
		t.Errorf("no %q in\n%s", reason, out)
	}
	touchFile(t, filepath.Join(s.dir, "open"))
	if p := s.awaitState("p", control.Ready); p.Reason != "" {
		t.Errorf("a ready process has the reason %q", p.Reason)
	}
	eventually(t, "both probes are asked", func() error {
		if asked := s.readFile("asked"); !strings.Contains(asked, "ready\n") || !strings.Contains(asked, "live\n") {
			return errors.New(asked)
		}
		return nil
	})
}
