package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgo/bootcheck/account"
	"pgo/bootcheck/gate"
	"pgo/bootcheck/server"
	"pgo/pkg/testing/testkit"
)

func (e *testEnv) fetchStatus() gate.Snapshot {
	e.t.Helper()
	var s gate.Snapshot
	if err := json.Unmarshal([]byte(e.fetch("/status").body), &s); err != nil {
		e.t.Fatal(err)
	}
	return s
}

func TestServe(t *testing.T) {
	e := newTestEnv(t)
	e.binary.SetMigrations("00001_a.sql", "CREATE TABLE a (id INT);")
	notify := listenNotify(t)
	stop, log := e.startServing()
	if got := notify(); got != "READY=1" {
		t.Errorf("notified %q\n%s", got, log)
	}
	e.awaitReady()

	s := e.fetchStatus()
	if !s.Ready || s.PassedAt == nil || len(s.Degraded) != 0 || len(s.Phases) != 5 || len(s.Servers) != 3 {
		t.Errorf("status %+v", s)
	}
	for _, p := range s.Phases {
		if p.State != "done" || p.StartedAt == nil || p.FinishedAt == nil {
			t.Errorf("phase %+v", p)
		}
	}
	want := gate.ServiceState{Name: e.service.Name, Binary: e.binary.Path, Version: "1.2.3", Commit: "abc", SchemaVersion: 1, SchemaExpected: 1}
	if len(s.Services) != 1 || s.Services[0] != want {
		t.Errorf("services %+v", s.Services)
	}
	metrics := e.fetch("/metrics").body
	for _, line := range []string{
		"pgo_bootcheck_ready 1", `pgo_bootcheck_server_up{server="MySQL"} 1`, `pgo_bootcheck_phase{phase="schemas",state="done"} 1`,
		fmt.Sprintf("pgo_bootcheck_schema_version{schema=%q} 1", e.service.Name), fmt.Sprintf("pgo_bootcheck_schema_dirty{schema=%q} 0", e.service.Name),
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	if a := e.fetch("/livez"); a.status != http.StatusOK {
		t.Errorf("livez %+v", a)
	}
	for _, path := range []string{"/nothing", "/swagger/nothing", "/swagger/specs/unknown.json", "/swagger/specs/../status", "/swagger/swagger-ui.js.map", "/openapi.json"} {
		if a := e.fetch(path); a.status != http.StatusNotFound || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", path, a.status, a.header.Get("Content-Type"))
		}
	}
	if err := stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if got := notify(); got != "STOPPING=1" {
		t.Errorf("notified %q", got)
	}
}

// listenNotify sets NOTIFY_SOCKET and returns a function that reads the next message.
func listenNotify(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		b := make([]byte, 100)
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, err := c.Read(b)
		if err != nil {
			return err.Error()
		}
		return string(b[:n])
	}
}

func TestSwagger(t *testing.T) {
	e := newTestEnv(t)
	e.startServing()
	e.awaitReady()

	page := e.fetch("/swagger/")
	if page.status != http.StatusOK || !strings.Contains(page.body, "swagger-ui") || strings.Contains(page.body, "<script>") {
		t.Errorf("page %+v", page)
	}
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self';") || !strings.Contains(policy, "connect-src 'self' http://gateway.test:8080;") {
		t.Errorf("policy %s", policy)
	}
	for _, file := range []string{"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-32x32.png"} {
		if a := e.fetch("/swagger/" + file); a.status != http.StatusOK || len(a.body) < 100 {
			t.Errorf("%s: %d, %d bytes", file, a.status, len(a.body))
		}
	}
	script := e.fetch("/swagger/init.js").body
	if want := fmt.Sprintf(`urls: [{"url":"specs/%[1]s.json","name":"%[1]s"}]`, e.service.Name); !strings.Contains(script, want) || !strings.Contains(script, "persistAuthorization: true") {
		t.Errorf("script lacks %s:\n%s", want, script)
	}

	spec := "/swagger/specs/" + e.service.Name + ".json"
	tests := []struct {
		name    string
		headers []string
		host    string
	}{
		{"opened directly", nil, "gateway.test:8080"},
		{"under the gateway's host", []string{"Host", "gateway.test:8080"}, ""},
		{"through the gateway by another name", []string{"Host", "localhost:8080", "X-Forwarded-For", "127.0.0.1"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got struct {
				Swagger, Host string
			}
			a := e.fetch(spec, tt.headers...)
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Swagger != "2.0" || got.Host != tt.host {
				t.Errorf("%s: %v", a.body, err)
			}
		})
	}

	e.binary.WriteScript(`test "$1" = openapi && echo '{"swagger":"2.0","info":{"title":"a new binary"}}'`)
	if a := e.fetch(spec); !strings.Contains(a.body, "a new binary") {
		t.Errorf("still the old one: %s", a.body)
	}
	e.binary.WriteScript("exit 1 # broken")
	if a := e.fetch(spec); a.status != http.StatusServiceUnavailable || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("broken binary: %+v", a)
	}
}

func TestServePublishesStateWhileWaiting(t *testing.T) {
	e := newTestEnv(t)
	link := testkit.NewLink(t, e.servers.MySQL.Addr)
	link.Cut()
	real := e.servers.MySQL.Addr
	e.servers.MySQL.Addr = link.Addr()
	_, log := e.startServing()
	waiting := regexp.MustCompile(`waiting for MySQL at ` + regexp.QuoteMeta(link.Addr()) + ` \([0-9ms]+\): connection refused; giving up in \dm\d+s`)
	testkit.Eventually(t, "it waits", func() error {
		if !waiting.MatchString(log.String()) {
			return fmt.Errorf("log: %s", log)
		}
		return nil
	})
	if a := e.fetch("/readyz"); a.status != http.StatusServiceUnavailable {
		t.Errorf("readyz %+v", a)
	}
	s := e.fetchStatus()
	if s.Ready || s.Phases[0].State != "running" || s.Phases[3].State != "pending" || s.Servers[0].Up || s.Servers[0].Error != "connection refused" {
		t.Errorf("status %+v", s)
	}
	link.Restore()
	e.awaitReady()
	e.servers.MySQL.Addr = real
}

func TestServeRepairsServers(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for several checks of the servers")
	}
	e := newTestEnv(t)
	link := testkit.NewLink(t, e.servers.Redis.Addr)
	direct := e.servers
	e.servers.Redis.Addr = link.Addr()
	e.startServing()
	e.awaitReady()

	link.Cut()
	testkit.Eventually(t, "Redis is reported as unavailable", func() error {
		if a := e.fetch("/readyz"); a.status != http.StatusOK || !strings.Contains(a.body, `"degraded":["Redis"]`) {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	admin := server.OpenRedis(direct.Redis)
	defer admin.Close()
	if err := admin.Do(t.Context(), "ACL", "DELUSER", e.service.Name).Err(); err != nil {
		t.Fatal(err)
	}
	m := server.NewManagement(direct.RabbitMQ)
	if err := m.Do(t.Context(), http.MethodDelete, nil, nil, "users", e.service.Name); err != nil {
		t.Fatal(err)
	}
	if err := m.Do(t.Context(), http.MethodDelete, nil, nil, "vhosts", direct.RabbitMQ.Vhost); err != nil {
		t.Fatal(err)
	}
	link.Restore()
	testkit.Eventually(t, "the accounts and the topology are restored", func() error {
		if there, err := account.ExistsInRedis(t.Context(), admin, e.service.Name); err != nil || !there {
			return fmt.Errorf("Redis: %v, %w", there, err)
		}
		if there, err := account.AllInRabbitMQ(t.Context(), m, direct.RabbitMQ.Vhost, []string{e.service.Name}); err != nil || !there {
			return fmt.Errorf("RabbitMQ: %v, %w", there, err)
		}
		return m.Do(t.Context(), http.MethodGet, nil, nil, "exchanges", direct.RabbitMQ.Vhost, "pgo.events")
	})
	testkit.Eventually(t, "nothing is degraded", func() error {
		if a := e.fetch("/readyz"); strings.Contains(a.body, "degraded") {
			return fmt.Errorf("%s", a.body)
		}
		return nil
	})
}
