package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// serviceLabel is the label of compose's containers, in the engine and, in cAdvisor's spelling, in Prometheus.
const (
	serviceLabel  = "com.docker.compose.service"
	projectLabel  = "com.docker.compose.project"
	serviceMetric = "container_label_com_docker_compose_service"
)

// retryInterval is the pause between two connections to the engine.
const retryInterval = time.Second

// OOMWatcher counts the out-of-memory kills in the containers of a compose project. The engine reports one for each process that
// the kernel killed (memory.events of the container's cgroup), also if it was not the container's first.
type OOMWatcher struct {
	engine    *http.Client
	project   string
	log       *slog.Logger
	kills     *prometheus.CounterVec
	connected prometheus.Gauge
}

// NewOOMWatcher returns a watcher with its metrics registered at reg.
func NewOOMWatcher(engine *http.Client, project string, log *slog.Logger, reg prometheus.Registerer) *OOMWatcher {
	w := &OOMWatcher{
		engine: engine, project: project, log: log,
		kills:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pgo_container_oom_kills_total", Help: "Processes that the kernel killed because their container was at its memory limit."}, []string{serviceMetric}),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pgo_engine_events_connected", Help: "1 while the engine's events are received."}),
	}
	reg.MustRegister(w.kills, w.connected)
	return w
}

// event holds the fields of an engine's event that are used.
type event struct {
	Action   string
	TimeNano int64 `json:"timeNano"`
	Actor    struct{ Attributes map[string]string }
}

// Run watches until ctx ends. After a lost connection it continues after the last event: the engine keeps the latest ones.
func (w *OOMWatcher) Run(ctx context.Context) {
	since := time.Now()
	for ctx.Err() == nil {
		last, err := w.watch(ctx, since)
		w.connected.Set(0)
		since = last
		if ctx.Err() == nil {
			w.log.Warn("the engine's events are not received", "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
}

// watch counts events until the connection ends and returns the time to continue from.
func (w *OOMWatcher) watch(ctx context.Context, since time.Time) (time.Time, error) {
	if err := w.initializeCounters(ctx); err != nil {
		return since, err
	}
	query := url.Values{"since": {fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())}}
	body, err := w.get(ctx, "/events", query, map[string][]string{"type": {"container"}, "event": {"oom", "start"}, "label": {projectLabel + "=" + w.project}})
	if err != nil {
		return since, err
	}
	defer body.Close()
	w.connected.Set(1)
	for events := json.NewDecoder(body); ; {
		var e event
		if err := events.Decode(&e); errors.Is(err, io.EOF) {
			return since, errors.New("the engine has closed the connection")
		} else if err != nil {
			return since, fmt.Errorf("read an event of the engine: %w", err)
		}
		counter := w.kills.WithLabelValues(e.Actor.Attributes[serviceLabel]) // a started container begins at 0
		if e.Action == "oom" {
			counter.Inc()
			w.log.Warn("the kernel killed a process for its memory", "container", e.Actor.Attributes[serviceLabel])
		}
		since = time.Unix(0, e.TimeNano+1)
	}
}

// initializeCounters sets the counters of existing containers to 0: Prometheus sees no increase of a series that begins at 1.
func (w *OOMWatcher) initializeCounters(ctx context.Context) error {
	body, err := w.get(ctx, "/containers/json", url.Values{"all": {"1"}}, map[string][]string{"label": {projectLabel + "=" + w.project}})
	if err != nil {
		return err
	}
	defer body.Close()
	var containers []struct{ Labels map[string]string }
	if err := json.NewDecoder(body).Decode(&containers); err != nil {
		return fmt.Errorf("read the engine's list of containers: %w", err)
	}
	for _, c := range containers {
		w.kills.WithLabelValues(c.Labels[serviceLabel])
	}
	return nil
}

// get returns the body of an answer with status 200.
func (w *OOMWatcher) get(ctx context.Context, path string, query url.Values, filters map[string][]string) (io.ReadCloser, error) {
	text, err := json.Marshal(filters)
	if err != nil {
		return nil, err
	}
	query.Set("filters", string(text))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	res, err := w.engine.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the engine: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return nil, errors.New("ask the engine: " + path + " answers " + strconv.Itoa(res.StatusCode))
	}
	return res.Body, nil
}
