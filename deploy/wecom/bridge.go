package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// maxWaiting is how many notifications are worked on at once; more are refused for Alertmanager to send again.
const maxWaiting = 32

// maxBody bounds what Alertmanager may post: 50 alerts of a few kilobytes.
const maxBody = 4 << 20

// Bridge takes Alertmanager's notifications and answers only when WeCom has taken the message: 200 then, 503 where another try
// is worth it (Alertmanager makes one), 422 where none is.
type Bridge struct {
	Robot   Robot
	Lang    Language
	Log     *slog.Logger
	Metrics *Metrics
	waiting chan struct{}
}

// Metrics count what happened to messages.
type Metrics struct {
	tries, lost *prometheus.CounterVec
	messages    *prometheus.CounterVec
	configured  prometheus.GaugeFunc
}

// NewMetrics registers the bridge's metrics; every value of every label is there from the start, so that the first failure shows
// as an increase.
func NewMetrics(reg prometheus.Registerer, configured func() bool) *Metrics {
	m := &Metrics{
		tries:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pgo_wecom_tries_total", Help: "Calls to WeCom by result: ok, or why the message was not taken."}, []string{"result"}),
		lost:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pgo_wecom_messages_lost_total", Help: "Messages that the group did not get, or not whole, by reason. A message that Alertmanager will send again is none."}, []string{"reason"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pgo_wecom_messages_total", Help: "Notifications from Alertmanager by what was answered: delivered, again (it tries again), lost, or logged (no robot is set up)."}, []string{"result"}),
		configured: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pgo_wecom_configured", Help: "1 when a robot's key is set up, else 0: messages only go to the log."}, func() float64 {
			if configured() {
				return 1
			}
			return 0
		}),
	}
	for _, r := range refusalReasons() {
		m.lost.WithLabelValues(r)
		m.tries.WithLabelValues(r)
	}
	m.tries.WithLabelValues("ok")
	for _, r := range []string{"delivered", "again", "lost", "logged"} {
		m.messages.WithLabelValues(r)
	}
	reg.MustRegister(m.tries, m.lost, m.messages, m.configured)
	return m
}

// NewBridge returns a bridge to robot.
func NewBridge(robot Robot, lang Language, log *slog.Logger, m *Metrics) *Bridge {
	robot.Tried = func(result string) { m.tries.WithLabelValues(result).Inc() }
	return &Bridge{Robot: robot, Lang: lang, Log: log, Metrics: m, waiting: make(chan struct{}, maxWaiting)}
}

// ServeHTTP takes one notification.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case b.waiting <- struct{}{}:
		defer func() { <-b.waiting }()
	default:
		b.Metrics.messages.WithLabelValues("again").Inc()
		http.Error(w, "too many notifications at once", http.StatusServiceUnavailable)
		return
	}
	var n Notification
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&n); err != nil {
		reason := "rejected"
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			reason = "overflow"
		}
		b.countLost(reason)
		b.Log.Error("a notification cannot be read", "error", err)
		http.Error(w, "not a notification of Alertmanager", http.StatusUnprocessableEntity)
		return
	}
	err := b.Deliver(r.Context(), n)
	var refusal *Refusal
	switch {
	case err == nil:
		b.Metrics.messages.WithLabelValues("delivered").Inc()
	case errors.Is(err, ErrNoKey):
		text, _ := FormatMarkdown(n, b.Lang, maxBytes)
		b.Metrics.messages.WithLabelValues("logged").Inc()
		b.Log.Warn("no robot is set up, the message is only here", "message", text)
	case errors.As(err, &refusal) && !refusal.Temporary:
		b.countLost(refusal.Reason)
		b.Log.Error("a message is lost", "alert", n.CommonLabels["alertname"], "reason", refusal.Reason, "error", refusal.Err.Error())
		http.Error(w, "WeCom does not take it: "+refusal.Reason, http.StatusUnprocessableEntity)
	default:
		b.Metrics.messages.WithLabelValues("again").Inc()
		b.Log.Warn("WeCom does not take messages, Alertmanager will try again", "alert", n.CommonLabels["alertname"], "error", err.Error())
		http.Error(w, "WeCom does not take it for now", http.StatusServiceUnavailable)
	}
}

func (b *Bridge) countLost(reason string) {
	b.Metrics.lost.WithLabelValues(reason).Inc()
	b.Metrics.messages.WithLabelValues("lost").Inc()
}

// Deliver sends n as one message. What WeCom finds too long is cut shorter, twice.
func (b *Bridge) Deliver(ctx context.Context, n Notification) error {
	var err error
	for _, limit := range []int{maxBytes, maxBytes / 2, maxBytes / 8} {
		text, cut := FormatMarkdown(n, b.Lang, limit)
		err = b.Robot.Send(ctx, text)
		var refusal *Refusal
		if errors.As(err, &refusal) && refusal.Reason == "too_long" {
			continue
		}
		if err == nil && cut {
			b.Metrics.lost.WithLabelValues("truncated").Inc()
			b.Log.Warn("a message was cut", "alert", n.CommonLabels["alertname"], "bytes", limit)
		}
		return err
	}
	return err
}
