package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Deadman hears the watchdog and tells the group when it stops, and when it is back. It is all that speaks when Prometheus or
// Alertmanager is down. That this program is down, Prometheus tells.
type Deadman struct {
	Timeout time.Duration
	Lang    Language
	Send    func(ctx context.Context, text string) error
	Log     *slog.Logger

	mu        sync.Mutex
	lastHeard time.Time
}

// NewDeadman starts its timeout now.
func NewDeadman(timeout time.Duration, lang Language, send func(context.Context, string) error, log *slog.Logger, reg prometheus.Registerer) *Deadman {
	d := &Deadman{Timeout: timeout, Lang: lang, Send: send, Log: log, lastHeard: time.Now()}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pgo_wecom_watchdog_age_seconds", Help: "Since the watchdog was last heard, or since the start.",
	}, func() float64 { return d.silentFor().Seconds() }))
	return d
}

// ServeHTTP hears the watchdog.
func (d *Deadman) ServeHTTP(http.ResponseWriter, *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastHeard = time.Now()
}

func (d *Deadman) silentFor() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Since(d.lastHeard)
}

// Run watches until ctx ends. A message that cannot be sent is tried again at the next look.
func (d *Deadman) Run(ctx context.Context) {
	tick := time.NewTicker(max(d.Timeout/10, 10*time.Millisecond))
	defer tick.Stop()
	told := false // the group knows of the silence
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		silence := d.silentFor()
		if (silence > d.Timeout) == told {
			continue
		}
		w := d.Lang.phrases()
		text := fmt.Sprintf("<font color=\"warning\">**"+w.silent+"**</font>", silence.Round(time.Second))
		if told {
			text = fmt.Sprintf("<font color=\"info\">**%s**</font>", w.alive)
		} else {
			d.Log.Error("the watchdog is silent", "seconds", int(silence.Seconds()))
		}
		if err := d.Send(ctx, text); err != nil && !errors.Is(err, ErrNoKey) {
			d.Log.Error("telling the group about the watchdog", "error", err.Error())
			continue
		}
		told = !told
	}
}
