package web

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/terminal"
)

// Options configures the server.
type Options struct {
	Source   Source
	Hosts    []string // names it is reached by, besides localhost and addresses
	PM2Names bool     // metrics also with the names of pm2-prom-module
	Log      *slog.Logger
	OnAnswer func() // called after every answer, and at the end of a connection
}

type handler struct {
	Options   Options
	transport *http.Transport
	mux       *http.ServeMux
	metricsMu sync.Mutex // one answer with metrics at a time
	set       metricSet  // guarded by metricsMu
}

const indexPage = `pgo

/metrics               of the processes and of pgo, for Prometheus
/sd                    the processes that have metrics of their own, for Prometheus (http_sd_configs)
/scrape/NAME/INSTANCE  the metrics of one of them
/api/list              the processes, as pgo list --json
/api/info              as pgo info --json
/api/events?limit=100  the last changes, as pgo events --json, as an array
/livez, /readyz        whether pgo answers; whether every process is ready
`

func newHandler(o Options) *handler {
	h := &handler{Options: o, transport: newTransport(), mux: http.NewServeMux()}
	h.mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { writeText(w, indexPage) })
	h.mux.HandleFunc("/metrics", h.serveMetrics)
	h.mux.HandleFunc("/sd", h.serveDiscovery)
	h.mux.HandleFunc("/scrape/{name}/{instance}", h.serveScrape)
	h.mux.HandleFunc("/api/list", h.serveList)
	h.mux.HandleFunc("/api/info", h.serveInfo)
	h.mux.HandleFunc("/api/events", h.serveEvents)
	h.mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { writeText(w, "ok\n") })
	h.mux.HandleFunc("/readyz", h.serveReady)
	return h
}

// ServeHTTP rejects invalid hosts, methods and paths before any handler runs.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case !h.isKnownHost(r.Host):
		// A page from elsewhere may point its own name here (DNS rebinding) and would then read the answer.
		http.Error(w, "this pgo is not reached by that name: its process file lists those that it is (http.hosts)", http.StatusMisdirectedRequest)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD: control is the pgo command's alone", http.StatusMethodNotAllowed)
	case r.URL.Path != path.Clean(r.URL.Path):
		http.NotFound(w, r)
	default:
		h.mux.ServeHTTP(w, r)
	}
}

// isKnownHost reports whether a Host header is an address, localhost, or one of the names in the process file.
func (h *handler) isKnownHost(host string) bool {
	if name, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || slices.Contains(h.Options.Hosts, host)
}

func (h *handler) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	h.metricsMu.Lock()
	defer h.metricsMu.Unlock()
	f := h.Options.Source.Snapshot(true)
	h.set.fill(f)
	if h.Options.PM2Names {
		h.set.addPM2(f.Processes)
	}
	out := h.set.encode()
	w.Header().Set("Content-Type", textContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	_, _ = w.Write(out) // a client that went away misses it
}

// serveList answers as `pgo list --json` prints, without the processes' log tails: a log is not for everyone.
func (h *handler) serveList(w http.ResponseWriter, _ *http.Request) {
	rows := []control.Process{}
	for _, p := range h.Options.Source.Snapshot(true).Processes {
		row := p.Process
		row.LastLines = []string{}
		rows = append(rows, row)
	}
	h.writeJSON(w, rows)
}

func (h *handler) serveInfo(w http.ResponseWriter, _ *http.Request) {
	h.writeJSON(w, h.Options.Source.Snapshot(false).Info)
}

// Bounds of the number of events in an answer.
const (
	maxEvents     = 1000
	defaultEvents = 100
)

func (h *handler) serveEvents(w http.ResponseWriter, r *http.Request) {
	n := defaultEvents
	for key, values := range r.URL.Query() {
		var err error
		if key == "limit" && len(values) == 1 {
			n, err = strconv.Atoi(values[0])
		}
		if key != "limit" || len(values) != 1 || err != nil || n < 1 || n > maxEvents {
			http.Error(w, fmt.Sprintf("expected at most ?limit=N, N from 1 to %d", maxEvents), http.StatusBadRequest)
			return
		}
	}
	events, err := h.Options.Source.Events(n)
	if err != nil {
		h.writeError(w, "read the events", err)
		return
	}
	h.writeJSON(w, events)
}

// serveReady reports whether every process of the file is ready, and names the first one that is not.
func (h *handler) serveReady(w http.ResponseWriter, _ *http.Request) {
	f := h.Options.Source.Snapshot(false)
	for _, p := range f.Processes {
		if !p.Process.Ready {
			http.Error(w, fmt.Sprintf("%s/%d is %s", p.Process.Name, p.Process.Instance, p.Process.Status), http.StatusServiceUnavailable)
			return
		}
	}
	if len(f.Processes) == 0 {
		http.Error(w, "there are no processes", http.StatusServiceUnavailable)
		return
	}
	writeText(w, "ok\n")
}

func (h *handler) writeError(w http.ResponseWriter, what string, err error) {
	h.Options.Log.Error("http: "+what, "error", err)
	http.Error(w, "pgo could not "+what+": its log says why", http.StatusInternalServerError)
}

func (h *handler) writeJSON(w http.ResponseWriter, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		h.writeError(w, "encode the answer", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(terminal.EscapeJSON(text), '\n')) // a client that went away misses it
}

func writeText(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(s))
}
