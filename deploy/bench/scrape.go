package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// scraping reads metrics again and again, as Prometheus does: over one connection that is kept.
type scraping struct {
	url    string
	client *http.Client
	cancel context.CancelFunc
	over   sync.WaitGroup

	mu  sync.Mutex
	err error
}

// scrape reads a manager's metrics until it is stopped. Where it has none, it says so for the table.
func (b *bench) scrape(ctx context.Context, m manager) (s *scraping, without string) {
	url, err := m.measureItself(ctx)
	if err != nil {
		b.logf("%v", err)
		why, _, _ := strings.Cut(err.Error(), ": ")
		return startScraping("", scrapeEvery), "; without metrics: " + why
	}
	s = startScraping(url, scrapeEvery)
	if err := await(30*time.Second, "metrics are there", func() error { return s.once(ctx) }); err != nil {
		s.fail(err)
	}
	return s, ""
}

// startScraping begins to; without an address there is nothing to read.
func startScraping(url string, every time.Duration) *scraping {
	ctx, cancel := context.WithCancel(context.Background())
	s := &scraping{url: url, client: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{}}, cancel: cancel}
	if url == "" {
		return s
	}
	s.over.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := s.once(ctx); err != nil && ctx.Err() == nil {
				s.fail(err)
			}
		}
	})
	return s
}

func (s *scraping) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// once reads all of an answer.
func (s *scraping) once(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || n == 0) {
		err = fmt.Errorf("%d bytes, answer %s", n, res.Status)
	}
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	return nil
}

// failed is the last error of reading them again and again.
func (s *scraping) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *scraping) stop() {
	s.cancel()
	s.over.Wait()
	s.client.CloseIdleConnections()
}
