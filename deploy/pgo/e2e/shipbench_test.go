//go:build bench

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/sshdtest"
)

// TestBenchDeploy measures deploys of the real services, through their gateway and over a real sshd on loopback, to the stack
// that `make up MODE=native` has started here. make bench-deploy runs it.
func TestBenchDeploy(t *testing.T) {
	b := newBench(t)
	// Printed at once: the figures stay, also when the rest takes too long.
	fmt.Println("| figure | target | pgo deploy | peers in the same run |\n| --- | --- | --- | --- |")
	b.measureOneLineChange(readCount(t, "PGO_BENCH_CHANGES", 3))
	b.measureUnderLoad(readCount(t, "PGO_BENCH_DEPLOYS", 5), 1000)
	b.measureRollback(readCount(t, "PGO_BENCH_ROLLBACKS", 3))
}

func readCount(t *testing.T, name string, otherwise int) int {
	if os.Getenv(name) == "" {
		return otherwise
	}
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

type bench struct {
	t                        *testing.T
	root, home, pgo, gateway string
	sshd                     *sshdtest.Server
	env                      []string
	builds                   int
	copies                   map[string]string // directories of the services' commands, by service
}

func newBench(t *testing.T) *bench {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, root: root, home: filepath.Join(root, ".pgo"), pgo: filepath.Join(root, "bin", "pgo"), copies: map[string]string{}}
	text, err := os.ReadFile(filepath.Join(b.home, "env"))
	if err != nil {
		t.Fatalf("make up MODE=native first: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if addr, ok := strings.CutPrefix(strings.TrimSpace(line), "GATEWAY_HTTP="); ok {
			b.gateway = addr
		}
	}
	b.sshd = sshdtest.Start(t, "PGO_HOME="+b.home, "XDG_RUNTIME_DIR="+os.Getenv("XDG_RUNTIME_DIR"))
	b.sshd.Authorize("ci", `restrict,command="`+b.pgo+` receive --as bench"`)
	// As in make build, so that only what has changed is compiled.
	b.env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir(), "CGO_ENABLED=0")
	return b
}

func (b *bench) mustRun(name string, args ...string) string {
	b.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = b.root, b.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// buildService builds a service with one changed line and returns the directory of the program. It builds the command from a
// copy beside it, so that all other packages come from the cache.
func (b *bench) buildService(service string) string {
	b.t.Helper()
	b.builds++
	copied, known := b.copies[service]
	if !known {
		var err error
		if copied, err = os.MkdirTemp(filepath.Join(b.root, "services", service, "cmd"), "bench"); err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { os.RemoveAll(copied) })
		b.copies[service] = copied
	}
	files, err := filepath.Glob(filepath.Join(b.root, "services", service, "cmd", service, "*.go"))
	if err != nil {
		b.t.Fatal(err)
	}
	changed := false
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			b.t.Fatal(err)
		}
		line := fmt.Sprintf("func main() {\n\tprintln(\"change %d of %d\")\n", b.builds, time.Now().UnixNano())
		after := strings.Replace(string(text), "func main() {\n", line, 1)
		changed = changed || after != string(text)
		if err := os.WriteFile(filepath.Join(copied, filepath.Base(file)), []byte(after), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	if !changed {
		b.t.Fatalf("%s has no main to change a line of", service)
	}
	dir := b.t.TempDir()
	b.mustRun("go", "build", "-trimpath", "-ldflags",
		fmt.Sprintf("-s -w -X pgo/pkg/buildinfo.version=bench-%d-%d", os.Getpid(), b.builds), "-o", filepath.Join(dir, service), copied)
	return dir
}

// deployServices deploys, and returns when the new version of the last service served alone, and when the deploy was complete.
func (b *bench) deployServices(from string, services ...string) (alone, through time.Duration) {
	b.t.Helper()
	began := time.Now()
	cmd := exec.Command(b.pgo, append([]string{"deploy", "--json", "--to", "ci", "--ssh", "ssh -T -F " + b.sshd.Config, "--from", from}, services...)...)
	cmd.Env = b.env
	var output bytes.Buffer
	cmd.Stderr = &output
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("deploy: %v\n%s%s", err, out, output.String())
	}
	return b.logSteps(began, string(out)), time.Since(began)
}

// awaitAnswer returns how many seconds after began a process that was started since then logged that it is ready.
func (b *bench) awaitAnswer(service string, began time.Time) (after float64) {
	b.t.Helper()
	eventually(b.t, service+" logs that it is ready", func() error {
		text, err := os.ReadFile(filepath.Join(b.home, "logs", service+".log"))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			var output struct {
				Msg string
				TS  time.Time
			}
			if json.Unmarshal([]byte(line), &output) == nil && output.Msg == "ready" && output.TS.After(began) {
				after = output.TS.Sub(began).Seconds()
				return nil
			}
		}
		return errors.New("its log does not")
	})
	return after
}

// logSteps logs the time of each step, and returns when the last process had taken over.
func (b *bench) logSteps(began time.Time, output string) (alone time.Duration) {
	b.t.Helper()
	var steps []string
	for _, e := range parseEvents(b.t, output) {
		if e.Event == "runs" {
			alone = e.Time.Sub(began)
		}
		steps = append(steps, fmt.Sprintf("%.2f %s %s", e.Time.Sub(began).Seconds(), e.Event, e.Process))
	}
	b.t.Logf("s after the start: %s", strings.Join(steps, ", "))
	return alone
}

// measureOneLineChange measures deploys of a one-line change in one service.
func (b *bench) measureOneLineChange(n int) {
	service := "user"
	_, _ = b.deployServices(b.buildService(service), service) // the base of the next deltas
	var answers, alone, through, ours, scp, rsyncz, peer, restarted []float64
	var size int64
	path := filepath.Join(b.home, "bench-rsync")
	b.mustRun("rsync", "-e", "ssh -F "+b.sshd.Config, filepath.Join(b.root, "bin", service), sshdtest.Host+":"+path)
	for range n {
		from := b.buildService(service)
		file := filepath.Join(from, service)
		info, err := os.Stat(file)
		if err != nil {
			b.t.Fatal(err)
		}
		size = info.Size()
		sent := func(do func()) float64 {
			before, _ := b.sshd.Bytes()
			do()
			after, _ := b.sshd.Bytes()
			return 100 * float64(after-before) / float64(size)
		}
		ours = append(ours, sent(func() {
			began := time.Now()
			a, t := b.deployServices(from, service)
			answers = append(answers, b.awaitAnswer(service, began))
			alone, through = append(alone, a.Seconds()), append(through, t.Seconds())
		}))
		scp = append(scp, sent(func() { b.mustRun("scp", "-q", "-F", b.sshd.Config, file, sshdtest.Host+":"+path+".scp") }))
		rsyncz = append(rsyncz, sent(func() {
			began := time.Now()
			b.mustRun("rsync", "-z", "-e", "ssh -F "+b.sshd.Config, file, sshdtest.Host+":"+path)
			b.mustRun("ssh", "-F", b.sshd.Config, sshdtest.Host, "cd "+b.root+" && bin/pgo restart "+service)
			restarted = append(restarted, time.Since(began).Seconds())
			peer = append(peer, b.awaitAnswer(service, began))
		}))
	}
	b.printFigure("one-line change in `user` (%s): start → new version answers, s", []any{formatMegabytes(size)}, "≤ 3", answers, "rsync -z + restart: "+formatSpan(peer))
	b.printFigure("the same, until the new version serves alone, s", nil, "", alone, "until the restart is over: "+formatSpan(restarted))
	b.printFigure("the same, until its probation is over, s", nil, "", through, "")
	b.printFigure("bytes on the wire for it, %% of the binary", nil, "≤ 10", ours, "scp: "+formatSpan(scp)+"; rsync -z: "+formatSpan(rsyncz))
}

func formatMegabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// measureUnderLoad deploys while POST requests go through the gateway.
func (b *bench) measureUnderLoad(n, rate int) {
	dirs := []string{b.buildService("user"), b.buildService("user")}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var asked, failed atomic.Int64
	var kinds sync.Map
	const clients = 32
	began := time.Now()
	for c := range clients {
		client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: c%2 == 0}}
		all.Go(func() {
			every := time.NewTicker(time.Duration(clients) * time.Second / time.Duration(rate))
			defer every.Stop()
			for ctx.Err() == nil {
				<-every.C
				asked.Add(1)
				res, err := client.Post("http://"+b.gateway+"/api/v1/auth/refresh", "application/json", strings.NewReader(`{"refresh_token":"unknown"}`))
				kind := ""
				if err != nil {
					kind = err.Error()
				} else {
					res.Body.Close()
					if res.StatusCode != http.StatusUnauthorized {
						kind = res.Status
					}
				}
				if kind != "" {
					failed.Add(1)
					kinds.Store(kind, true)
				}
			}
		})
	}
	for i := range n {
		b.deployServices(dirs[i%2], "user")
	}
	took := time.Since(began)
	stop()
	all.Wait()
	kinds.Range(func(kind, _ any) bool { b.t.Logf("failed: %v", kind); return true })
	fmt.Printf("| requests failed in %d deploys under POST through the gateway | 0 | %d of %d (%.0f a second, asked for %d) | |\n",
		n, failed.Load(), asked.Load(), float64(asked.Load())/took.Seconds(), rate)
}

// measureRollback measures rollbacks of three services at once.
func (b *bench) measureRollback(n int) {
	dir := b.t.TempDir()
	var took []float64
	for range n {
		for _, service := range []string{"user", "school", "task"} {
			b.mustRun("cp", filepath.Join(b.buildService(service), service), dir)
		}
		b.deployServices(dir, "user", "school", "task")
		began := time.Now()
		out := b.mustRun(b.pgo, "rollback", "--json", "--to", "ci", "--ssh", "ssh -T -F "+b.sshd.Config)
		took = append(took, time.Since(began).Seconds())
		b.logSteps(began, out)
	}
	b.printFigure("roll-back of a deploy of three services, s", nil, "≤ 2", took, "")
}

func (b *bench) printFigure(what string, args []any, target string, samples []float64, peers string) {
	fmt.Printf("| %s | %s | %s | %s |\n", fmt.Sprintf(what, args...), target, formatSpan(samples), peers)
}

// formatSpan returns the median, the minimum and the maximum.
func formatSpan(samples []float64) string {
	if len(samples) == 0 {
		return "not measured"
	}
	s := slices.Sorted(slices.Values(samples))
	return fmt.Sprintf("%.2f (%.2f to %.2f, n=%d)", s[len(s)/2], s[0], s[len(s)-1], len(s))
}
