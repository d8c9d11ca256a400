package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestDeadman(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sent := make(chan string)
	failures := 1 // the first message does not get through
	d := NewDeadman(50*time.Millisecond, English, func(ctx context.Context, text string) error {
		if failures > 0 {
			failures--
			return errors.New("no network")
		}
		select {
		case sent <- text:
		case <-ctx.Done():
		}
		return nil
	}, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()

	await := func(want string) {
		t.Helper()
		select {
		case got := <-sent:
			if !strings.Contains(got, want) {
				t.Fatalf("the group is told %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("the group is not told %q", want)
		}
	}
	await("No watchdog for")
	beats, stop := context.WithCancel(ctx)
	go func() { // the watchdog is back
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-beats.Done():
				return
			case <-tick.C:
				d.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/watchdog", nil))
			}
		}
	}()
	await("The watchdog is back")
	stop()
	await("No watchdog for")
	cancel()
	<-ended
}
