//go:build faults

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	maxFaultCalls     = 6000 // requests at a time: 30 s without any answer
	faultAddresses    = 32   // of clients: the gateway limits each
	faultCallTimeout  = 30 * time.Second
	maxFailureSamples = 3
)

// faultCall is one request of the load.
type faultCall struct {
	kind         string
	method, path string
	token        string
	body         any
	want         int
	key          string          // of a write
	then         func(a *answer) // after an answer that was wanted
	done         func()          // after any
}

// faultLoad makes requests at a constant rate, whether or not those before were answered.
type faultLoad struct {
	run     *faultRun
	clients []*http.Client
	cancel  context.CancelFunc
	all     sync.WaitGroup

	mu       sync.Mutex
	requests int
	skipped  int
	open     map[int]time.Time // when requests without an answer yet were made, by their number
	failedAt time.Time         // when the last request that failed was made
	statuses map[string]int
	failed   map[int]failureSamples
	free     []int    // students without a request
	drafts   []string // ids of tasks to publish
}

// failureSamples counts failures and keeps some of them.
type failureSamples struct {
	n     int
	texts []string
}

func startFaultLoad(t *testing.T, r *faultRun) *faultLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &faultLoad{run: r, cancel: cancel, open: map[int]time.Time{}, statuses: map[string]int{}, failed: map[int]failureSamples{}}
	for i := range faultAddresses {
		dialer := net.Dialer{Timeout: faultCallTimeout, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i+1))}}
		l.clients = append(l.clients, &http.Client{Timeout: faultCallTimeout, Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 16, IdleConnTimeout: 20 * time.Second}})
	}
	for i := range r.cast.students {
		l.free = append(l.free, i)
	}
	l.all.Go(func() { l.makeRequests(ctx) })
	t.Cleanup(l.stop)
	return l
}

func (l *faultLoad) makeRequests(ctx context.Context) {
	began, tick := time.Now(), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		due := int(time.Since(began).Seconds() * float64(*faultsRate))
		if late := due - n - *faultsRate; late > 0 { // this process has not run for a while: a storm would follow
			l.skip(late)
			n += late
		}
		for ; n < due; n++ {
			if !l.begin(n) {
				continue
			}
			number, c := n, l.nextCall(n)
			l.all.Go(func() { l.make(number, c) })
		}
	}
}

// skip counts requests that are not made.
func (l *faultLoad) skip(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.skipped += n
}

// begin counts a request that is about to be made. It reports false if too many wait for their answers.
func (l *faultLoad) begin(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxFaultCalls {
		l.skipped++
		return false
	}
	l.requests++
	l.open[n] = time.Now()
	return true
}

// make makes a request once, and records the answer.
func (l *faultLoad) make(n int, c faultCall) {
	if c.key != "" {
		l.run.ledger.begin(c.kind, c.key)
	}
	a, err := l.send(l.clients[n%len(l.clients)], c)
	ok := err == nil && a.Status == c.want
	if c.key != "" {
		l.run.ledger.end(c.kind, c.key, a.Status, ok)
	}
	if ok && c.then != nil {
		c.then(&a)
		ok = a.Status == c.want
	}
	if c.done != nil {
		c.done()
	}
	l.end(n, c, a, err, ok)
}

func (l *faultLoad) end(n int, c faultCall, a answer, err error, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	madeAt := l.open[n]
	delete(l.open, n)
	status := strconv.Itoa(a.Status)
	if err != nil {
		a.Status, status = 0, describeNoAnswer(err)
	}
	l.statuses[status]++
	if ok {
		return
	}
	if madeAt.After(l.failedAt) {
		l.failedAt = madeAt
	}
	f := l.failed[a.Status]
	if f.n++; len(f.texts) < maxFailureSamples {
		f.texts = append(f.texts, fmt.Sprintf("%s: %s %s: %d %.400s %v", madeAt.Format("15:04:05.000"), c.method, c.path, a.Status, a.Body, err))
	}
	l.failed[a.Status] = f
}

func describeNoAnswer(err error) string {
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		return "timeout"
	}
	return "no answer"
}

// send makes a request that no client repeats by itself.
func (l *faultLoad) send(client *http.Client, c faultCall) (answer, error) {
	var content io.Reader
	if c.body != nil {
		text, err := json.Marshal(c.body)
		if err != nil {
			return answer{}, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequest(c.method, l.run.s.url(c.path), content)
	if err != nil {
		return answer{}, err
	}
	req.GetBody = nil
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{Status: res.StatusCode, Header: res.Header, Body: string(text)}
	if a.Status < 300 && len(text) > 0 {
		err = json.Unmarshal(text, &a.JSON)
	}
	return a, err
}

// stop ends the load and returns when every request has an answer.
func (l *faultLoad) stop() {
	l.cancel()
	l.all.Wait()
	for _, c := range l.clients {
		c.CloseIdleConnections()
	}
}

// lastFailure returns when the last request that failed was made.
func (l *faultLoad) lastFailure() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failedAt
}

// oldestCall returns how long the oldest request without an answer waits.
func (l *faultLoad) oldestCall(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var oldest time.Duration
	for _, madeAt := range l.open {
		oldest = max(oldest, now.Sub(madeAt))
	}
	return oldest
}

func (l *faultLoad) failures() map[int]failureSamples {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.failed)
}

func (l *faultLoad) report() faultReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	return faultReport{
		fault: l.run.fault.name, requests: l.requests, skipped: l.skipped,
		acknowledged: l.run.ledger.countAcknowledged(), statuses: maps.Clone(l.statuses),
	}
}
