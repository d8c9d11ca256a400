//go:build compose

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// post is a request that no client repeats by itself, and what has to come back.
type post struct {
	path   string
	by     []person // who take turns; nobody: without a token
	body   any
	status int
	code   string // of the problem, where status is one's
}

// aPost is a POST that the service itself answers, behind the gateway, at so little cost that what is measured is the way
// there: it reads the body and the token, and refuses the values.
func (s *stack) aPost(service string, by []person) post {
	return map[string]post{
		"user":   {"/api/v1/auth/register", nil, map[string]string{"email": "nobody's"}, 422, "validation_failed"},
		"school": {"/api/v1/schools", by, map[string]string{"name": "School"}, 422, "validation_failed"},
		"task":   {"/api/v1/tasks", by, map[string]string{"title": "Task"}, 422, "validation_failed"},
	}[service]
}

// load sends POST requests at a rate until it is stopped, half of them on connections that are kept, half on new ones. Where
// answers take long, clients ask the sooner after them, so that the rate holds as long as the machine can sustain it.
type load struct {
	began         time.Time
	asked, failed atomic.Int64
	mu            sync.Mutex
	errors        []string
	kept          []string // the ids of what was acknowledged
	cancel        context.CancelFunc
	all           sync.WaitGroup
}

const loadClients = 32

// A client that is further behind than this does not make up for it: it would be a storm after a pause.
const loadBehind = 5 * time.Second

func (s *stack) load(t *testing.T, rate int, p post) *load {
	t.Helper()
	body, err := json.Marshal(p.body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{began: time.Now(), cancel: cancel}
	for n := range loadClients {
		transport := &http.Transport{DisableKeepAlives: n%2 == 0}
		token := ""
		if len(p.by) > 0 {
			token = p.by[n%len(p.by)].token
		}
		client := &http.Client{Transport: transport, Timeout: 60 * time.Second}
		l.all.Go(func() {
			defer transport.CloseIdleConnections()
			every := time.Second * loadClients / time.Duration(rate)
			due := l.began.Add(every * time.Duration(n) / loadClients)
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(due)):
				}
				l.ask(client, s.url(p.path), p, token, body)
				if due = due.Add(every); time.Since(due) > loadBehind {
					due = time.Now()
				}
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) ask(client *http.Client, url string, p post, token string, body []byte) {
	l.asked.Add(1)
	id, err := p.send(client, url, token, body)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.failed.Add(1)
		l.errors = append(l.errors, err.Error())
	case p.status == http.StatusCreated:
		l.kept = append(l.kept, id)
	}
}

func (p post) send(client *http.Client, url, token string, body []byte) (id string, err error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.GetBody = nil // sent once, whatever becomes of it
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	var said struct{ ID, Code string }
	if err := json.Unmarshal(text, &said); err != nil || res.StatusCode != p.status || said.Code != p.code {
		return "", fmt.Errorf("%s: %.300s", res.Status, text)
	}
	return said.ID, nil
}

func (l *load) stop() {
	l.cancel()
	l.all.Wait()
}

// none ends the load and fails the test where a request has failed.
func (l *load) none(t *testing.T, what string) {
	t.Helper()
	took := time.Since(l.began)
	l.stop()
	t.Logf("%s: %d, %.0f a second, %d failed", what, l.asked.Load(), float64(l.asked.Load())/took.Seconds(), l.failed.Load())
	if l.failed.Load() > 0 || l.asked.Load() == 0 {
		t.Errorf("%s: %d of %d failed: %v", what, l.failed.Load(), l.asked.Load(), l.errors[:min(5, len(l.errors))])
	}
}
