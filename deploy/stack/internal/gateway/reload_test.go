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

// Requests that must not be sent twice come on many connections while nginx reads its configuration anew, as it does at every
// new certificate.
func TestReloadLosesNoRequest(t *testing.T) {
	const reloads, callers = 20, 16
	g := startOptions(t, Options{})
	// An nginx that does not know of keepalive_min_timeout may close a connection that is kept as a request comes.
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: callers, DisableKeepAlives: g.version < versionKeepaliveMin}}
	defer client.CloseIdleConnections()
	var answers, over atomic.Int64
	var calls sync.WaitGroup
	for range callers {
		calls.Go(func() {
			for over.Load() == 0 {
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
				over.Store(1)
				calls.Wait()
				t.Fatalf("after a reload: %d answers more, workers %q, before %q", answers.Load()-seen, listWorkers(g.pid), before)
			}
		}
	}
	over.Store(1)
	calls.Wait()
	t.Logf("%d answers through %d reloads", answers.Load(), reloads)
}

// listWorkers are the processes that an nginx has started.
func listWorkers(pid int) string {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		return err.Error()
	}
	return string(children)
}
