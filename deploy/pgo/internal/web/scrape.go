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
	maxMetrics           = 16 << 20 // bytes
	defaultScrapeTimeout = 10 * time.Second
	maxScrapeTimeout     = 20 * time.Second // even if Prometheus would wait longer
)

// adminListener is the name of the listener that serves a process's metrics.
const adminListener = "admin"

type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// serveDiscovery implements Prometheus's HTTP service discovery. It lists every process with an admin listener, also a
// stopped one, and sends the caller to the address it has asked.
func (h *handler) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	groups := []targetGroup{}
	for _, p := range h.Options.Source.Snapshot(false).Processes {
		if _, ok := p.Process.Listeners[adminListener]; !ok {
			continue
		}
		number := strconv.Itoa(p.Process.Instance)
		groups = append(groups, targetGroup{Targets: []string{requestTarget(r)}, Labels: map[string]string{
			"__metrics_path__": "/scrape/" + p.Process.Name + "/" + number, "service": p.Process.Name, "instance": number,
		}})
	}
	h.writeJSON(w, groups)
}

// requestTarget returns the address that the request was sent to.
func requestTarget(r *http.Request) string {
	if _, _, err := net.SplitHostPort(r.Host); err == nil {
		return r.Host
	}
	return r.Host + ":80"
}

// serveScrape answers with the metrics of a process's admin listener, and nothing else of it.
func (h *handler) serveScrape(w http.ResponseWriter, r *http.Request) {
	addr, status, why := h.findAdminListener(r.PathValue("name"), r.PathValue("instance"))
	if why != "" {
		http.Error(w, why, status)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), scrapeTimeoutOf(r))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		http.Error(w, "its admin listener cannot be asked", http.StatusBadGateway)
		return
	}
	for _, key := range []string{"Accept", "Accept-Encoding", "X-Prometheus-Scrape-Timeout-Seconds"} {
		req.Header[key] = r.Header.Values(key)
	}
	// No http.Client: it would follow redirects.
	res, err := h.transport.RoundTrip(req)
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
	n, err := io.Copy(w, io.LimitReader(res.Body, maxMetrics))
	if err == nil && n == maxMetrics {
		_, err = io.ReadFull(res.Body, make([]byte, 1))
		if errors.Is(err, io.EOF) {
			return // exactly the limit
		}
		err = errors.New("too much")
	}
	if err != nil {
		panic(http.ErrAbortHandler) // a partial answer must not pass for the whole
	}
}

// findAdminListener returns the address of a process's admin listener, or the HTTP status and the reason why there is none.
func (h *handler) findAdminListener(name, number string) (addr string, status int, why string) {
	for _, p := range h.Options.Source.Snapshot(false).Processes {
		if p.Process.Name != name || strconv.Itoa(p.Process.Instance) != number {
			continue
		}
		addr, ok := p.Process.Listeners[adminListener]
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

// scrapeTimeoutOf returns how long Prometheus waits, within bounds.
func scrapeTimeoutOf(r *http.Request) time.Duration {
	s, err := strconv.ParseFloat(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err != nil || !(s > 0) {
		return defaultScrapeTimeout
	}
	return time.Duration(min(s, maxScrapeTimeout.Seconds()) * float64(time.Second))
}

func newTransport() *http.Transport {
	return &http.Transport{
		// An open connection would keep a process from ending; a new one for each scrape costs little.
		DisableKeepAlives: true, DisableCompression: true,
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
