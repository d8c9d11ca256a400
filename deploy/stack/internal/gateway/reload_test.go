package gateway

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// POSTs, which nginx must not repeat, arrive on many connections while nginx reloads its configuration, as it does for every
// new certificate.
func TestReloadLosesNoRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("reloads nginx many times under load")
	}
	const reloads, callers = 20, 16
	// The callers send as fast as they get answers: on a fast machine that is more than the default limit for one address.
	limits := DefaultLimits()
	limits.Rate, limits.Burst = "1000000r/s", 1_000_000
	g := startOptions(t, Options{Limits: limits})
	// An nginx without keepalive_min_timeout may close an idle connection as a request arrives.
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: callers, DisableKeepAlives: g.version < versionKeepaliveMin}}
	defer client.CloseIdleConnections()
	var answers atomic.Int64
	var stopped atomic.Bool
	var calls sync.WaitGroup
	for range callers {
		calls.Go(func() {
			for !stopped.Load() {
				if err := checkOK(client.Post(g.http+"/api/v1/auth/login", "application/json", strings.NewReader("{}"))); err != nil {
					t.Errorf("after %d answers: %v", answers.Load(), err)
					return
				}
				answers.Add(1)
			}
		})
	}
	for range reloads {
		before, seen := listWorkers(g.pid), answers.Load()
		if err := syscall.Kill(g.pid, syscall.SIGHUP); err != nil {
			t.Error(err)
		}
		for deadline := time.Now().Add(20 * time.Second); answers.Load() < seen+5*callers || listWorkers(g.pid) == before; time.Sleep(time.Millisecond) {
			if t.Failed() || time.Now().After(deadline) {
				stopped.Store(true)
				calls.Wait()
				t.Fatalf("after a reload: %d more answers, workers %q, before %q", answers.Load()-seen, listWorkers(g.pid), before)
			}
		}
	}
	stopped.Store(true)
	calls.Wait()
	t.Logf("%d answers through %d reloads", answers.Load(), reloads)
}

// listWorkers returns the pids of nginx's worker processes.
func listWorkers(pid int) string {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		return err.Error()
	}
	return string(children)
}
