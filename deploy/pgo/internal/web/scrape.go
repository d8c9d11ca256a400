package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Bounds of fetching a process's metrics.
const (
	mostMetrics   = 16 << 20 // bytes
	scrapeTimeout = 10 * time.Second
	scrapeLongest = 20 * time.Second // where Prometheus says that it would wait longer
)

// admin is the listener that a process has for its metrics.
const admin = "admin"

type group struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// discover answers as Prometheus's HTTP service discovery expects: every process that has an admin listener, also one
// that does not run. Whoever asks is sent to where it has asked.
func (h *handler) discover(w http.ResponseWriter, r *http.Request) {
	groups := []group{}
	for _, p := range h.Options.Source.Snapshot(false).Processes {
		if _, ok := p.Process.Listeners[admin]; !ok {
			continue
		}
		number := strconv.Itoa(p.Process.Instance)
		groups = append(groups, group{Targets: []string{target(r)}, Labels: map[string]string{
			"__metrics_path__": "/scrape/" + p.Process.Name + "/" + number, "service": p.Process.Name, "instance": number,
		}})
	}
	h.answer(w, groups)
}

// target is the address that the request was sent to.
func target(r *http.Request) string {
	if _, _, err := net.SplitHostPort(r.Host); err == nil {
		return r.Host
	}
	return r.Host + ":80"
}

// scrape answers with what a process's admin listener says at /metrics, and nothing else of it.
func (h *handler) scrape(w http.ResponseWriter, r *http.Request) {
	addr, status, why := h.adminOf(r.PathValue("name"), r.PathValue("instance"))
	if why != "" {
		http.Error(w, why, status)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience(r))
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		http.Error(w, "its admin listener cannot be asked", http.StatusBadGateway)
		return
	}
	for _, key := range []string{"Accept", "Accept-Encoding", "X-Prometheus-Scrape-Timeout-Seconds"} {
		ask.Header[key] = r.Header.Values(key)
	}
	// Not a client: it would follow where it is sent.
	res, err := h.transport.RoundTrip(ask)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			http.Error(w, "its admin listener does not answer in time", http.StatusGatewayTimeout)
			return
		}
		http.Error(w, "its admin listener does not answer", http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		http.Error(w, fmt.Sprintf("its admin listener answers %d", res.StatusCode), http.StatusBadGateway)
		return
	}
	for _, key := range []string{"Content-Type", "Content-Encoding"} {
		if value := res.Header.Get(key); value != "" {
			w.Header().Set(key, value)
		}
	}
	n, err := io.Copy(w, io.LimitReader(res.Body, mostMetrics))
	if err == nil && n == mostMetrics {
		_, err = io.ReadFull(res.Body, make([]byte, 1))
		if errors.Is(err, io.EOF) {
			return // it was just that much
		}
		err = errors.New("too much")
	}
	if err != nil {
		panic(http.ErrAbortHandler) // what was said of it so far must not pass for all
	}
}

// adminOf finds a process's admin listener, or says why there is none.
func (h *handler) adminOf(name, number string) (addr string, status int, why string) {
	for _, p := range h.Options.Source.Snapshot(false).Processes {
		if p.Process.Name != name || strconv.Itoa(p.Process.Instance) != number {
			continue
		}
		addr, ok := p.Process.Listeners[admin]
		switch {
		case !ok:
			return "", http.StatusNotFound, "it has no admin listener"
		case p.Process.PID == 0 || addr == "":
			return "", http.StatusServiceUnavailable, "it does not run"
		}
		return addr, 0, ""
	}
	return "", http.StatusNotFound, "there is no such process"
}

// patience is how long Prometheus waits, within bounds.
func patience(r *http.Request) time.Duration {
	s, err := strconv.ParseFloat(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err != nil || !(s > 0) {
		return scrapeTimeout
	}
	return time.Duration(min(s, scrapeLongest.Seconds()) * float64(time.Second))
}

func newTransport() *http.Transport {
	return &http.Transport{
		// A connection that is kept would keep a process from ending; one a scrape costs nothing here.
		DisableKeepAlives: true, DisableCompression: true,
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
