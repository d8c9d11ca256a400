package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"pgo/deploy/monitor/inventory"
)

// source is one page of metrics of the running stack.
type source struct {
	job    string
	url    string
	labels []string // that Prometheus adds besides job and instance
}

// record scrapes the native stack that runs in this checkout and writes the inventory and the page made of it.
func record(ctx context.Context, root string) error {
	env, err := stackEnv(root)
	if err != nil {
		return err
	}
	if err := exercise(ctx, env); err != nil {
		return fmt.Errorf("use the stack, so that there is something to record: %w", err)
	}
	if addr := env[telemetry()["otelcol"]]; answers(addr) {
		if err := awaitSpans(ctx, "http://"+addr+"/metrics"); err != nil {
			return err
		}
	}
	sources, err := sources(ctx, root, env)
	if err != nil {
		return err
	}
	seen, err := keep(root, env)
	if err != nil {
		return err
	}
	for _, s := range sources {
		text, err := get(ctx, s.url)
		if err != nil {
			return fmt.Errorf("record %s: %w", s.job, err)
		}
		if err := seen.Add(s.job, s.labels, text); err != nil {
			return err
		}
	}
	seen.Rename("pgo", "name", "service") // by its metric_relabel_configs
	text, err := yaml.Marshal(seen)
	if err != nil {
		return fmt.Errorf("write the recorded metrics: %w", err)
	}
	header := "# What a running stack exported: made by `make record-metrics`.\n"
	if err := os.WriteFile(filepath.Join(root, "deploy", "monitor", "recorded.yaml"), append([]byte(header), text...), 0o644); err != nil {
		return fmt.Errorf("write the recorded metrics: %w", err)
	}
	for path, page := range inventory.Pages(seen) {
		if err := os.WriteFile(filepath.Join(root, path), []byte(page), 0o644); err != nil {
			return fmt.Errorf("write the metrics reference: %w", err)
		}
	}
	return nil
}

// telemetry are the jobs of programs that no distribution has packages of, by the env file's keys of their addresses.
func telemetry() map[string]string {
	return map[string]string{"loki": "LOKI_HTTP", "otelcol": "OTELCOL_METRICS", "jaeger": "JAEGER_METRICS", "grafana": "GRAFANA_HTTP"}
}

// keep returns the earlier recording of the programs that do not run here, so that a machine without them loses nothing.
func keep(root string, env map[string]string) (inventory.Inventory, error) {
	text, err := os.ReadFile(filepath.Join(root, "deploy", "monitor", "recorded.yaml"))
	if err != nil {
		return inventory.Inventory{}, fmt.Errorf("read what was recorded before: %w", err)
	}
	before, err := inventory.Read(text)
	if err != nil {
		return inventory.Inventory{}, err
	}
	kept := inventory.Inventory{Jobs: map[string]inventory.Job{}}
	for job, key := range telemetry() {
		if old, ok := before.Jobs[job]; ok && !answers(env[key]) {
			fmt.Fprintf(os.Stderr, "%s does not run here: what was recorded of it stays\n", job)
			kept.Jobs[job] = old
		}
	}
	return kept, nil
}

func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// stackEnv is the env file of the native stack.
func stackEnv(root string) (map[string]string, error) {
	home := os.Getenv("PGO_HOME")
	if home == "" {
		home = filepath.Join(root, ".pgo")
	}
	f, err := os.Open(filepath.Join(home, "env"))
	if err != nil {
		return nil, fmt.Errorf("find the running stack (make up starts it): %w", err)
	}
	defer f.Close()
	env := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok {
			env[key] = value
		}
	}
	return env, lines.Err()
}

// sources returns all pages of metrics, those of services found through pgo.
func sources(ctx context.Context, root string, env map[string]string) ([]source, error) {
	page := func(key, job, path string, labels ...string) source {
		return source{job, "http://" + env[key] + path, labels}
	}
	out := []source{
		page("BOOTCHECK_HTTP", "bootcheck", "/metrics", "service"),
		page("RABBITMQ_METRICS", "rabbitmq", "/metrics"),
		page("RABBITMQ_METRICS", "rabbitmq-queues", "/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count"),
		page("PROMETHEUS_HTTP", "prometheus", "/metrics"), page("ALERTMANAGER_HTTP", "alertmanager", "/metrics"),
		page("WECOM_HTTP", "wecom", "/metrics"), page("NODE_EXPORTER", "node", "/metrics"), page("MYSQLD_EXPORTER", "mysql", "/metrics"),
		page("PGO_HTTP", "pgo", "/metrics"), page("REDIS_EXPORTER", "redis", "/metrics"), page("NGINX_EXPORTER", "gateway", "/metrics"),
	}
	for job, key := range telemetry() {
		if answers(env[key]) {
			out = append(out, page(key, job, "/metrics"))
		}
	}
	services, err := instances(ctx, root)
	if err != nil {
		return nil, err
	}
	for _, addr := range services {
		out = append(out, source{"services", "http://" + addr + "/metrics", []string{"service"}})
	}
	return out, nil
}

// instances are the admin listeners of all services' instances, as pgo has given them.
func instances(ctx context.Context, root string) ([]string, error) {
	text, err := exec.CommandContext(ctx, filepath.Join(root, "bin", "pgo"), "list", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("ask pgo for the services: %w", err)
	}
	var list []struct {
		Name      string            `json:"name"`
		Kind      string            `json:"kind"`
		Listeners map[string]string `json:"listeners"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read pgo's list: %w", err)
	}
	var out []string
	for _, p := range list {
		if addr := p.Listeners["admin"]; p.Kind == "service" && addr != "" {
			out = append(out, addr)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("ask pgo for the services: none runs (make up starts them)")
	}
	slices.Sort(out)
	return out, nil
}

// exercise registers a user and signs in, so that handlers, outbox, queue and limits have something to count.
func exercise(ctx context.Context, env map[string]string) error {
	account := fmt.Sprintf(`{"email":"recorder-%d@example.org","password":"correct horse battery","name":"Recorder"}`, time.Now().UnixNano())
	for _, step := range []struct{ path, body string }{{"register", account}, {"login", strings.Replace(account, `,"name":"Recorder"`, "", 1)}} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+env["GATEWAY_HTTP"]+"/api/v1/auth/"+step.path, bytes.NewBufferString(step.body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("traceparent", fmt.Sprintf("00-%032x-0000000000000001-01", time.Now().UnixNano())) // one that is kept
		if _, err := do(req); err != nil {
			return err
		}
	}
	return nil
}

// awaitSpans waits until the collector has sent spans: it has no counter of them before.
func awaitSpans(ctx context.Context, page string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		text, err := get(ctx, page)
		if err == nil && bytes.Contains(text, []byte("\notelcol_exporter_sent_spans_total{")) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the collector has sent spans to Jaeger: %w", errors.Join(ctx.Err(), err))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return do(req)
}

func do(req *http.Request) ([]byte, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s answers %s: %.200s", req.URL, resp.Status, text)
	}
	return text, err
}
