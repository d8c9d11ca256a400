package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strconv"
)

// Proxy passes requests that only read what cAdvisor needs to the engine, and answers 403 to all others.
type Proxy struct {
	forward *httputil.ReverseProxy
	allowed *regexp.Regexp
	log     *slog.Logger
}

// maxDescription bounds the description of a container that is read to remove its environment.
const maxDescription = 4 << 20

// NewProxy returns a proxy to the engine behind transport.
func NewProxy(transport http.RoundTripper, log *slog.Logger) *Proxy {
	return &Proxy{
		forward: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "engine", "engine"
				r.Out.Header.Del("Accept-Encoding") // the answer is read here
			},
			Transport:      transport,
			ModifyResponse: removeEnvironment,
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				log.Warn("the engine does not answer", "error", err.Error())
				w.WriteHeader(http.StatusBadGateway)
			},
		},
		// A path to a log, an archive or a file of a container is not among them.
		allowed: regexp.MustCompile(`^(/v[0-9]+\.[0-9]+)?/(_ping|version|info|images/json|containers/json|containers/[a-zA-Z0-9][a-zA-Z0-9_.-]*/json)$`),
		log:     log,
	}
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	// An escaped path could mean another one to the engine, and an upgraded connection is no longer HTTP.
	if !isRead || r.URL.RawPath != "" || r.Header.Get("Upgrade") != "" || !p.allowed.MatchString(r.URL.Path) {
		p.log.Warn("refused", "method", r.Method, "path", r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintln(w, `{"message":"engineproxy: only what cAdvisor reads is allowed"}`)
		return
	}
	p.forward.ServeHTTP(w, r)
}

// removeEnvironment removes the environment and the command from a container's description: they may hold secrets of other
// projects' containers.
func removeEnvironment(res *http.Response) error {
	if res.StatusCode != http.StatusOK || res.Request.Method != http.MethodGet || !regexp.MustCompile(`/containers/[^/]+/json$`).MatchString(res.Request.URL.Path) {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxDescription+1))
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if len(text) > maxDescription {
		return fmt.Errorf("the description of a container is over %d bytes", maxDescription)
	}
	var description map[string]json.RawMessage
	if err := json.Unmarshal(text, &description); err != nil {
		return fmt.Errorf("read the description of a container: %w", err)
	}
	var config map[string]json.RawMessage
	if err := json.Unmarshal(description["Config"], &config); err != nil {
		return fmt.Errorf("read the description of a container: %w", err)
	}
	for _, secret := range []string{"Env", "Cmd", "Entrypoint", "Healthcheck"} {
		delete(config, secret)
	}
	delete(description, "Args")
	if description["Config"], err = json.Marshal(config); err != nil {
		return err
	}
	if text, err = json.Marshal(description); err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	res.ContentLength = int64(len(text))
	res.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return nil
}
