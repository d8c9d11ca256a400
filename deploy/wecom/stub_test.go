package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

const testKey = "the-robot-key-0123456789"

// answer is how the stub answers one call: a status, an errcode, or nothing before the caller gives up.
type answer struct {
	status int
	code   int
	hang   bool
	body   string // instead of an errcode
}

// wecomStub answers as WeCom's robots do; when its list of answers is over it refuses what WeCom refuses.
type wecomStub struct {
	*httptest.Server
	mu      sync.Mutex
	answers []answer
	taken   []string
	calls   int
}

func newStub(t *testing.T, answers ...answer) *wecomStub {
	t.Helper()
	s := &wecomStub{answers: answers}
	over := make(chan struct{})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var said struct {
			Type     string `json:"msgtype"`
			Markdown struct {
				Content string `json:"content"`
			} `json:"markdown"`
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &said) != nil {
			http.Error(w, "not JSON", http.StatusBadRequest)
			return
		}
		a := s.next()
		switch {
		case a.hang:
			<-over
			return
		case a.body != "":
			fmt.Fprint(w, a.body)
			return
		case a.status != 0:
			w.WriteHeader(a.status)
			return
		case a.code == 0 && r.URL.Query().Get("key") != testKey:
			a.code = 93000
		case a.code == 0 && (len(said.Markdown.Content) > 4096 || !utf8.ValidString(said.Markdown.Content)):
			a.code = 40058
		}
		if a.code == 0 {
			s.mu.Lock()
			s.taken = append(s.taken, said.Markdown.Content)
			s.mu.Unlock()
		}
		fmt.Fprintf(w, `{"errcode":%d,"errmsg":"stub"}`, a.code)
	}))
	t.Cleanup(func() { close(over); s.Close() })
	return s
}

func (s *wecomStub) next() answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if len(s.answers) == 0 {
		return answer{}
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	return a
}

func (s *wecomStub) got() (messages []string, calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.taken...), s.calls
}

// bridgeTo is a bridge with quick tries, its log and its registry.
func bridgeTo(t *testing.T, s *wecomStub, key string) (*httptest.Server, *strings.Builder, *prometheus.Registry) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if key != "" {
		if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{KeyFile: file}
	timeout := 20 * time.Second
	if slices.ContainsFunc(s.answers, func(a answer) bool { return a.hang }) {
		timeout = 200 * time.Millisecond
	}
	reg := prometheus.NewRegistry()
	log := &strings.Builder{}
	b := NewBridge(Robot{
		URL: s.URL, Key: cfg.readKey, Client: &http.Client{Timeout: timeout}, Pauses: []time.Duration{time.Millisecond, time.Millisecond},
	}, Chinese, slog.New(slog.NewTextHandler(log, nil)), NewMetrics(reg, func() bool { return key != "" }))
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return server, log, reg
}

// counts are the counters above 0, as name{value} n.
func counts(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if v := m.GetCounter().GetValue(); v > 0 {
				name := strings.TrimSuffix(strings.TrimPrefix(f.GetName(), "pgo_wecom_"), "_total")
				out = append(out, fmt.Sprintf("%s{%s} %v", name, m.GetLabel()[0].GetValue(), v))
			}
		}
	}
	return strings.Join(out, ", ")
}
