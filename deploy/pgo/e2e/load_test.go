package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// loadGenerator sends POST requests, which no client repeats by itself, until it is stopped: half of its clients keep their
// connections, half open new ones.
type loadGenerator struct {
	sent, failed atomic.Int64
	mu           sync.Mutex
	pids         map[string]int
	errors       []string
	cancel       context.CancelFunc
	all          sync.WaitGroup
}

func startLoad(t *testing.T, url string) *loadGenerator {
	ctx, cancel := context.WithCancel(context.Background())
	l := &loadGenerator{pids: map[string]int{}, cancel: cancel}
	for n := range 8 {
		transport := &http.Transport{DisableKeepAlives: n%2 == 0}
		client := &http.Client{Transport: transport, Timeout: 15 * time.Second}
		l.all.Go(func() {
			defer transport.CloseIdleConnections()
			every := time.NewTicker(8 * time.Millisecond) // 1000 a second together
			defer every.Stop()
			for ctx.Err() == nil {
				<-every.C
				l.sendRequest(client, url)
			}
		})
	}
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *loadGenerator) sendRequest(client *http.Client, url string) {
	l.sent.Add(1)
	body, err := postURL(client, url)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed.Add(1)
		l.errors = append(l.errors, err.Error())
		return
	}
	l.pids[body]++
}

func postURL(client *http.Client, url string) (string, error) {
	res, err := client.Post(url, "text/plain", strings.NewReader(strings.Repeat("x", 500)))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("answer %s", res.Status)
	}
	return string(body), err
}

func (l *loadGenerator) stop() {
	l.cancel()
	l.all.Wait()
}

// assertNoFailures stops the load and fails the test where a request has failed. It returns how many different bodies answered.
func (l *loadGenerator) assertNoFailures(t *testing.T) int {
	t.Helper()
	l.stop()
	t.Logf("%d requests, %d failed, %d processes answered", l.sent.Load(), l.failed.Load(), len(l.pids))
	if l.failed.Load() > 0 || l.sent.Load() == 0 {
		t.Errorf("%d of %d requests failed: %v", l.failed.Load(), l.sent.Load(), l.errors[:min(5, len(l.errors))])
	}
	return len(l.pids)
}
