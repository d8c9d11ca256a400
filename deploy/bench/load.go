package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// kinds are the requests that a load consists of, in equal parts.
var kinds = []kind{
	{"GET, kept connections", http.MethodGet, true, false},
	{"POST, kept connections", http.MethodPost, true, false},
	{"GET, new connections", http.MethodGet, false, false},
	{"POST, new connections", http.MethodPost, false, false},
	{"POST through nginx", http.MethodPost, true, true},
}

type kind struct {
	name    string
	method  string
	keep    bool
	gateway bool
}

const (
	maxWaiting     = 2000 // requests of one kind at a time; beyond that the load is no longer what it says
	requestTimeout = 10 * time.Second
)

// load sends requests at a rate of their own, whether or not those before were answered.
type load struct {
	streams []*stream
	cancel  context.CancelFunc
	all     sync.WaitGroup

	mu    sync.Mutex
	first map[string]time.Time // when who answered first
	last  string
}

type stream struct {
	kind
	url                   string
	client                *http.Client
	sent, failed, skipped atomic.Int64
	waiting               atomic.Int64
	mu                    sync.Mutex
	errors                map[string]int
	took                  []time.Duration
}

// startLoad sends rate requests a second in all. Without a gateway the kind that goes through it is left out.
func startLoad(addr, gateway string, rate int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel, first: map[string]time.Time{}}
	for _, k := range kinds {
		s := &stream{kind: k, url: "http://" + addr, errors: map[string]int{}}
		if k.gateway {
			if gateway == "" {
				continue
			}
			s.url = "http://" + gateway
		}
		s.client = &http.Client{Timeout: requestTimeout, Transport: &http.Transport{
			DisableKeepAlives: !k.keep, MaxIdleConnsPerHost: 64, IdleConnTimeout: 2 * time.Second,
		}}
		l.streams = append(l.streams, s)
	}
	for _, s := range l.streams {
		l.all.Go(func() { l.run(ctx, s, float64(rate)/float64(len(l.streams))) })
	}
	return l
}

func (l *load) run(ctx context.Context, s *stream, rate float64) {
	began, n := time.Now(), 0
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var asked sync.WaitGroup
	defer s.client.CloseIdleConnections()
	defer asked.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * rate); n < due; n++ {
			if s.waiting.Load() >= maxWaiting {
				s.skipped.Add(1)
				continue
			}
			s.waiting.Add(1)
			asked.Go(func() { l.ask(s) })
		}
	}
}

func (l *load) ask(s *stream) {
	defer s.waiting.Add(-1)
	began := time.Now()
	s.sent.Add(1)
	who, err := s.request()
	if err != nil {
		s.failed.Add(1)
		s.mu.Lock()
		s.errors[errorKind(err)]++
		s.mu.Unlock()
		return
	}
	now := time.Now()
	s.mu.Lock()
	s.took = append(s.took, now.Sub(began))
	s.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.first[who]; !known {
		l.first[who], l.last = now, who
	}
}

func (s *stream) request() (string, error) {
	var body io.Reader
	if s.method == http.MethodPost {
		body = strings.NewReader(strings.Repeat("x", 500))
	}
	req, err := http.NewRequest(s.method, s.url, body)
	if err != nil {
		return "", err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("answer %s", res.Status)
	}
	return string(text), err
}

// errorKind is an error without the ports in it, so that equal ones are counted together.
func errorKind(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}

// newestAnswer is the process with the latest first answer, and its time.
func (l *load) newestAnswer() (string, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, l.first[l.last]
}

func (l *load) stop() {
	l.cancel()
	l.all.Wait()
}

// failures counts what has failed, of all kinds together; and what was not even sent.
func (l *load) failures() (failed, sent, skipped int) {
	for _, s := range l.streams {
		failed, sent, skipped = failed+int(s.failed.Load()), sent+int(s.sent.Load()), skipped+int(s.skipped.Load())
	}
	return failed, sent, skipped
}

// describeFailures are the most frequent failures.
func (l *load) describeFailures() string {
	all := map[string]int{}
	for _, s := range l.streams {
		for text, n := range s.errors {
			all[text] += n
		}
	}
	return describeMostFrequent(all)
}

func describeMostFrequent(counts map[string]int) string {
	var texts []string
	for text := range counts {
		texts = append(texts, text)
	}
	slices.SortFunc(texts, func(a, b string) int { return counts[b] - counts[a] })
	var out []string
	for _, text := range texts[:min(2, len(texts))] {
		out = append(out, fmt.Sprintf("%d × %s", counts[text], text))
	}
	return strings.Join(out, ", ")
}

// latency99 is the time that 99 of 100 answers took at most.
func (l *load) latency99() time.Duration {
	var took []time.Duration
	for _, s := range l.streams {
		took = append(took, s.took...)
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
