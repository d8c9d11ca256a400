//go:build systemd

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/sshdtest"
	"pgo/deploy/pgo/internal/systemdtest"
)

// systemdHost is a machine where systemd runs two services and a gate, by the units that pgo exports, and a machine that deploys
// to it over a real sshd.
type systemdHost struct {
	t       *testing.T
	Machine *systemdtest.Machine
	sshd    *sshdtest.Server
	from    string
	addrs   map[string]string
	cache   string
}

func newSystemdHost(t *testing.T) *systemdHost {
	h := &systemdHost{t: t, Machine: systemdtest.Start(t, false), from: t.TempDir(), cache: t.TempDir(), addrs: map[string]string{"alpha": reserveAddr(t), "beta": reserveAddr(t)}}
	binary, err := os.ReadFile(pgoPath)
	if err != nil {
		t.Fatal(err)
	}
	h.Machine.WriteFile("/srv/pgo/bin/pgo", binary, 0o755)
	h.Machine.WriteFile("/srv/pgo/bin/gate", []byte("#!/bin/sh\ncase $1 in\nask) [ ! -e /srv/pgo/forbidden ] || { echo too old; exit 65; } ;;\nplan) echo would migrate $LOOKS ;;\n*) exec sleep 1000000 ;;\nesac\n"), 0o755)
	h.Machine.WriteFile("/srv/pgo/configs/pgo.yaml", []byte(fmt.Sprintf(`version: 1
http: ""
processes:
  gate: {kind: gate, command: bin/gate, ask: [ask], plan: [plan], env: {LOOKS: bin/alpha}}
  alpha: {command: bin/alpha, after: [gate], listeners: {http: %q}, ready: {notify: true, within: 10s}, watch: {probation: 3s}}
  beta: {command: bin/beta, after: [gate, alpha], instances: 2, env: {ADMIN: "127.0.0.1:0"}, listeners: {http: %q, admin: {addr: "127.0.0.1:0", shared: false}},
    ready: {notify: true, within: 10s}, watch: {probation: 3s, errors: true}}
`, h.addrs["alpha"], h.addrs["beta"])), 0o644)
	for _, name := range []string{"alpha", "beta"} {
		h.Machine.WriteFile("/srv/pgo/bin/"+name, buildRelease(t, "v1"), 0o755)
	}
	h.Machine.Run("useradd --system pgo; mkdir /srv/pgo/.pgo; chown pgo /srv/pgo/.pgo\n" +
		"cd /srv/pgo; bin/pgo export systemd --user pgo --dir /etc/systemd/system; systemctl daemon-reload; systemctl start pgo.target")
	h.awaitBuild("v1", "alpha", "beta")
	h.sshd = sshdtest.Start(t)
	h.sshd.Authorize("ci", fmt.Sprintf(`restrict,command="%s /srv/pgo/bin/pgo receive --systemd --file /srv/pgo/configs/pgo.yaml --home /srv/pgo/.pgo --as ci"`,
		strings.Join(h.Machine.Command(t.Context(), "env").Args, " ")))
	return h
}

// awaitBuild waits until all instances of the services answer with a build.
func (h *systemdHost) awaitBuild(build string, services ...string) {
	h.t.Helper()
	for _, name := range services {
		eventually(h.t, name+" answers as "+build, func() error {
			for range 20 {
				body, err := getURL("http://" + h.addrs[name])
				if err != nil || body != build {
					output, _ := h.Machine.TryRun("systemctl status --no-pager -n 20 'pgo-" + name + "*' | tail -n 40")
					return fmt.Errorf("%q %w\n%s", body, err, output)
				}
			}
			return nil
		})
	}
}

// newCommand returns pgo with the arguments, on the machine that deploys.
func (h *systemdHost) newCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(pgoPath, append(args, "--to", "ci", "--ssh", "ssh -T -F "+h.sshd.Config)...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+h.cache)
	return cmd
}

func (h *systemdHost) assertResult(code int, want string, args ...string) string {
	h.t.Helper()
	cmd := h.newCommand(args...)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) {
		h.t.Errorf("pgo %s: exit code %d, want %d and %q\n%s", strings.Join(args, " "), got, code, want, out)
	}
	return string(out)
}

func (h *systemdHost) assertDeploy(code int, want string, more ...string) string {
	h.t.Helper()
	return h.assertResult(code, want, append([]string{"deploy", "--from", h.from}, more...)...)
}

func (h *systemdHost) putBuild(service, name string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.from, service), buildRelease(h.t, name), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// timedLoad has the durations of requests, each on a new connection or on a kept one.
type timedLoad struct {
	mu        sync.Mutex
	durations []time.Duration
	failed    []string
	stop      chan struct{}
	ended     sync.WaitGroup
}

func (h *systemdHost) startLoad(service string) *timedLoad {
	w := &timedLoad{stop: make(chan struct{})}
	for n := range 8 {
		client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: n%2 == 0}}
		w.ended.Go(func() {
			defer client.CloseIdleConnections()
			every := time.NewTicker(8 * time.Millisecond)
			defer every.Stop()
			for {
				select {
				case <-w.stop:
					return
				case <-every.C:
				}
				began := time.Now()
				_, err := postURL(client, "http://"+h.addrs[service])
				w.mu.Lock()
				w.durations = append(w.durations, time.Since(began))
				if err != nil {
					w.failed = append(w.failed, err.Error())
				}
				w.mu.Unlock()
			}
		})
	}
	return w
}

func (w *timedLoad) stopAndWait() {
	close(w.stop)
	w.ended.Wait()
}

// assertNoFailures stops the load, and fails the test where a request has failed.
func (w *timedLoad) assertNoFailures(t *testing.T, what string) {
	t.Helper()
	w.stopAndWait()
	slices.Sort(w.durations)
	t.Logf("%s: %d requests, %d failed, median %s, longest %s", what, len(w.durations), len(w.failed), w.durations[len(w.durations)/2], w.durations[len(w.durations)-1])
	if len(w.failed) > 0 {
		t.Errorf("%s: %v", what, w.failed[:min(5, len(w.failed))])
	}
}

// crashDuringDeploy ends everything in the middle of a deploy, as a crash of the machine does, and starts it again as a boot does.
func (h *systemdHost) crashDuringDeploy() {
	h.t.Helper()
	cmd := h.newCommand("deploy", "--from", h.from)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.awaitBuild("v3", "alpha", "beta")
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGSTOP) // otherwise it asks for the result
	h.Machine.Run("pkill -KILL -f '[p]go receive --systemd'; systemctl stop pgo.target 'pgo-*'")
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	// User pgo had deployed, who has no right to start or stop units.
	h.Machine.Run("chown -R pgo /srv/pgo; systemctl start pgo.target")
	h.awaitBuild("v2", "alpha", "beta")
	if e := h.readLastAuditEntry(); e.Result != audit.RolledBack {
		h.t.Errorf("after a crash the audit log has %+v", e)
	}
	if owner := h.Machine.Run("stat -c %U /srv/pgo/bin/alpha"); owner != "pgo\n" {
		h.t.Errorf("the file that was rolled back belongs to %s", owner)
	}
	// Before, not instead of: nothing of the new version was started.
	output := h.Machine.Run("systemctl show -p ExecMainExitTimestampMonotonic --value pgo.settle.service; systemctl show -p ExecMainStartTimestampMonotonic --value pgo-alpha.service")
	var settled, started int64
	if _, err := fmt.Sscan(output, &settled, &started); err != nil || settled == 0 || settled > started {
		h.t.Errorf("the interrupted deploy was rolled back at %d, and alpha started at %d: %v", settled, started, err)
	}
}

func (h *systemdHost) readLastAuditEntry() audit.Entry {
	h.t.Helper()
	all := filepath.Join(h.t.TempDir(), "audit")
	if err := os.WriteFile(all, []byte(h.Machine.Run("cat /srv/pgo/.pgo/audit.jsonl")), 0o600); err != nil {
		h.t.Fatal(err)
	}
	entries, err := audit.Log(all).List()
	if err != nil || len(entries) == 0 {
		h.t.Fatal(err)
	}
	return entries[0]
}

func TestSystemdHost(t *testing.T) {
	h := newSystemdHost(t)
	h.putBuild("alpha", "v1")
	h.putBuild("beta", "v1")
	h.assertDeploy(0, "nothing to do")
	h.putBuild("alpha", "v2")
	h.putBuild("beta", "v2")
	pids := h.Machine.Run("systemctl show -p MainPID --value pgo-alpha pgo-beta-0 pgo-beta-1")
	if out := h.assertDeploy(0, "would migrate /srv/pgo/.pgo/releases/alpha/", "--dry-run"); !strings.Contains(out, "systemctl restart pgo-beta-0.service pgo-beta-1.service") {
		t.Errorf("the plan is\n%s", out)
	}
	if now := h.Machine.Run("systemctl show -p MainPID --value pgo-alpha pgo-beta-0 pgo-beta-1"); now != pids {
		t.Errorf("a dry run has changed %q into %q", pids, now)
	}
	alpha, beta := h.startLoad("alpha"), h.startLoad("beta")
	h.assertDeploy(0, "done in")
	h.awaitBuild("v2", "alpha", "beta")
	alpha.assertNoFailures(t, "one instance, deploy")
	beta.assertNoFailures(t, "two instances, deploy")
	if e := h.readLastAuditEntry(); e.Result != audit.Done || e.User != "ci" || len(e.Changes) != 2 || e.Changes[0].From.SHA256 == "" || e.Changes[0].To.Version != "v2" {
		t.Errorf("the audit log has %+v", e)
	}

	alpha = h.startLoad("alpha")
	for name, bad := range map[string]struct {
		code int
		want string
	}{
		"unconfigured": {exitRefused, "auth.secret"}, "foreign": {exitRefused, "is built for"},
		"exits": {exitRolledBack, "systemctl restart pgo-alpha.service"}, "hangs": {exitRolledBack, "systemctl restart pgo-alpha.service"},
	} {
		h.putBuild("alpha", name)
		h.assertDeploy(bad.code, bad.want, "alpha")
		h.awaitBuild("v2", "alpha", "beta")
	}
	h.putBuild("alpha", "exits")
	h.assertDeploy(exitRefused, "was found bad before", "alpha")
	alpha.assertNoFailures(t, "deploys that fail and are rolled back")
	h.putBuild("alpha", "crashes")
	h.assertDeploy(exitRolledBack, "while it was on probation", "alpha")
	h.awaitBuild("v2", "alpha")

	// Every second response of it is a 500.
	h.putBuild("beta", "fails")
	beta = h.startLoad("beta")
	h.assertDeploy(exitRolledBack, "ended with 5xx while it was on probation", "beta")
	h.awaitBuild("v2", "beta")
	beta.stopAndWait()

	// beta fails after alpha has taken over: both are rolled back. The gate forbids it: nothing is changed.
	h.putBuild("alpha", "v3")
	h.putBuild("beta", "exits")
	h.assertDeploy(exitRolledBack, "beta: release")
	h.awaitBuild("v2", "alpha", "beta")
	h.putBuild("beta", "v3")
	h.Machine.Run("touch /srv/pgo/forbidden")
	h.assertDeploy(exitRefused, "too old")
	h.Machine.Run("rm /srv/pgo/forbidden")
	h.awaitBuild("v2", "alpha", "beta")

	// The connection is lost, or the process is killed, while all are on probation.
	for what, lose := range map[string]func(){
		"the connection is lost":      h.sshd.Cut,
		"its process there is killed": func() { h.Machine.Run("pkill -KILL -f '[p]go receive --systemd'") },
		"both at once":                func() { h.Machine.Run("pkill -KILL -f '[p]go receive --systemd'"); h.sshd.Cut() },
	} {
		cmd := h.newCommand("deploy", "--from", h.from)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		h.awaitBuild("v3", "alpha", "beta")
		lose()
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != exitRolledBack {
			t.Errorf("%s: exit code %d\n%s", what, code, out.String())
		}
		h.awaitBuild("v2", "alpha", "beta")
		if e := h.readLastAuditEntry(); e.Result != audit.RolledBack {
			t.Errorf("%s: the audit log has %+v", what, e)
		}
	}
	h.crashDuringDeploy()

	alpha = h.startLoad("alpha")
	h.assertResult(0, "done in", "rollback")
	alpha.assertNoFailures(t, "rollback")
	h.awaitBuild("v1", "alpha", "beta")
	if out := h.assertResult(0, "v2", "releases"); !strings.Contains(out, "rollback") {
		t.Errorf("releases:\n%s", out)
	}
	h.assertResult(exitRefused, "no good release", "rollback", "alpha")
}
