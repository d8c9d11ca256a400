package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/proc"
)

// newHTTPStack is a stack with pgo's own HTTP on a free port.
func newHTTPStack(t *testing.T, processes string) *stack {
	t.Helper()
	s := newStack(t, processes)
	s.serveHTTP(`{addr: "127.0.0.1:0", hosts: [runtime, pgo.example]}`, processes)
	return s
}

// serveHTTP writes the process file anew, with HTTP as said.
func (s *stack) serveHTTP(http, processes string) {
	s.Helper()
	s.http = "http: " + http + "\n"
	s.write(processes)
}

// get asks pgo's own HTTP. Headers are pairs; Host is one. Where there is no answer the body is the error.
func (s *stack) get(path string, headers ...string) (status int, body string, header http.Header) {
	s.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+s.info().HTTP+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	client := http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		return 0, err.Error(), http.Header{}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, err.Error(), res.Header
	}
	return res.StatusCode, string(text), res.Header
}

// page is what is answered with 200.
func (s *stack) page(path string) string {
	s.Helper()
	status, body, _ := s.get(path)
	if status != http.StatusOK {
		s.Fatalf("%s: %d %s", path, status, body)
	}
	return body
}

func (s *stack) has(what, text string, lines ...string) {
	s.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			s.Errorf("%s: no line %q in\n%s", what, line, text)
		}
	}
}

// lint checks metrics by the rules of promtool check metrics.
func lint(t *testing.T, metrics string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(metrics)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
}

func TestMetrics(t *testing.T) {
	s := newHTTPStack(t, `
  web: {command: ACTOR, args: [actor, web, ready], ready: {notify: true}, instances: 2, listeners: {http: "127.0.0.1:0"}, reload: {stable: 10ms}, limits: {memory: 1GB}}
  once: {kind: one-shot, command: ACTOR, args: [actor, exit=0]}
  bad: {command: ACTOR, args: [actor, exit=7], restart: {final_exit_codes: [7]}}
  crash: {kind: infra, command: ACTOR, args: [actor, "once=DIR/crashed", ready], ready: {notify: true}}
  quiet: {kind: infra, command: ACTOR, args: [actor]}
`)
	s.pgo("up")
	s.settles()
	s.must("reload", "web")
	s.must("stop", "quiet")
	text := s.page("/metrics")
	lint(t, text)
	s.has("metrics", text,
		`pgo_process_info{name="crash",instance="0",kind="infra",version=""} 1`,
		`pgo_process_state{name="web",instance="1",state="ready"} 1`,
		`pgo_process_state{name="web",instance="1",state="failed"} 0`,
		`pgo_process_state{name="bad",instance="0",state="failed"} 1`,
		`pgo_process_state{name="quiet",instance="0",state="stopped"} 1`,
		`pgo_process_up{name="web",instance="0"} 1`,
		`pgo_process_memory_limit_bytes{name="web",instance="0"} 1073741824`,
		`pgo_process_up{name="bad",instance="0"} 0`,
		`pgo_process_ready{name="once",instance="0"} 1`,
		`pgo_process_ready{name="bad",instance="0"} 0`,
		`pgo_process_restarts_total{name="crash",instance="0"} 1`,
		`pgo_process_restarts_total{name="web",instance="0"} 0`,
		`pgo_reload_total{name="web",result="done"} 2`,
		`pgo_reload_total{name="web",result="failed"} 0`,
		`pgo_reload_duration_seconds_bucket{name="web",le="+Inf"} 2`,
		`pgo_reload_duration_seconds_count{name="web"} 2`,
		`pgo_process_log_dropped_lines_total{name="web"} 0`,
		`pgo_manager_info{version="dev"} 1`,
		`pgo_manager_restarts_total 0`,
	)
	for _, absent := range []string{`pgo_process_start_time_seconds{name="bad"`, `pgo_reload_total{name="quiet"`, "pm2_"} {
		if strings.Contains(text, absent) {
			t.Errorf("metrics have %s", absent)
		}
	}
	web := s.list()["web"]
	started, memory := value(t, text, `pgo_process_start_time_seconds{name="web",instance="1"}`), value(t, text, `pgo_process_resident_memory_bytes{name="web",instance="1"}`)
	if age := float64(time.Now().Unix()) - started; age < -1 || age > 60 {
		t.Errorf("web was started %f s ago", age)
	}
	if memory < 1<<20 || memory > 10*float64(web.Memory) {
		t.Errorf("web has %f bytes, the list says %d", memory, web.Memory)
	}
	if files := value(t, text, `pgo_process_open_fds{name="web",instance="0"}`); files < 4 {
		t.Errorf("web has %f files open", files)
	}
	for _, half := range []string{"keeper", "manager"} {
		if memory := value(t, text, `pgo_manager_resident_memory_bytes{half="`+half+`"}`); memory < 1<<20 {
			t.Errorf("the %s has %f bytes", half, memory)
		}
	}
}

// settles waits until nothing is on its way any more.
func (s *stack) settles() {
	s.Helper()
	eventually(s.T, "nothing is on its way", func() error {
		for _, p := range s.rows() {
			if p.Status != control.Ready && p.Status != control.Stopped && p.Status != control.Failed {
				return fmt.Errorf("%s is %s", p.Name, p.Status)
			}
		}
		return nil
	})
}

func value(t *testing.T, metrics, series string) (n float64) {
	t.Helper()
	for line := range strings.Lines(metrics) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in\n%s", series, metrics)
	return 0
}

// A counter never goes back while the process lives, also where its children come and go.
func TestCPUTimeGrows(t *testing.T) {
	s := newHTTPStack(t, `
  busy: {kind: infra, command: sh, args: [-c, "while :; do sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'; done"]}
`)
	s.must("up")
	last := 0.0
	eventually(t, "half a second of work", func() error {
		now := value(t, s.page("/metrics"), `pgo_process_cpu_seconds_total{name="busy",instance="0"}`)
		if now < last {
			t.Errorf("%f s after %f s", now, last)
		}
		if last = now; now < 0.5 {
			return fmt.Errorf("%f s", now)
		}
		return nil
	})
}

func TestFailedReloadIsCounted(t *testing.T) {
	const process = `
  web: {command: ACTOR, args: [actor, "unless=DIR/bad", web, ready], ready: {notify: true}, listeners: {http: "127.0.0.1:0"}, reload: {stable: 10ms}}
`
	s := newHTTPStack(t, process)
	s.must("up")
	touch(t, filepath.Join(s.dir, "bad"))
	s.fails(1, nil, "reload", "web")
	s.has("metrics", s.page("/metrics"), `pgo_reload_total{name="web",result="failed"} 1`, `pgo_reload_total{name="web",result="done"} 0`,
		`pgo_reload_duration_seconds_count{name="web"} 0`)
}

func TestDroppedLogIsCounted(t *testing.T) {
	s := newHTTPStack(t, `
  flood: {command: ACTOR, args: [actor, "await=DIR/go", "flood=60000:30000", "touch=DIR/said"], kind: infra}
`)
	s.must("up")
	log := filepath.Join(s.home(), "logs", "flood.log")
	moveToFull(t, log)
	touch(t, filepath.Join(s.dir, "go"))
	s.pidIn("said")
	text := s.page("/metrics")
	lines := value(t, text, `pgo_process_log_dropped_lines_total{name="flood"}`)
	if bytes := value(t, text, `pgo_process_log_dropped_bytes_total{name="flood"}`); lines < 1000 || bytes < lines {
		t.Errorf("%f lines, %f bytes were dropped", lines, bytes)
	}
}

func TestPM2Names(t *testing.T) {
	const processes = `
  web: {command: ACTOR, args: [actor], instances: 2}
  bad: {command: ACTOR, args: [actor, exit=7], restart: {final_exit_codes: [7]}}
`
	s := newStack(t, processes)
	s.serveHTTP(`{addr: "127.0.0.1:0", pm2_names: true}`, processes)
	s.pgo("up")
	s.settles()
	text := s.page("/metrics")
	s.has("metrics", text, `pm2_available_apps 2`, `pm2_app_instances{app="web"} 2`, `pm2_app_status{app="web"} 1`, `pm2_app_status{app="bad"} 4`,
		`pm2_app_restart_count{app="web",instance="1"} 0`, `pgo_process_up{name="web",instance="0"} 1`)
	total, average := value(t, text, `pm2_app_total_memory{app="web"}`), value(t, text, `pm2_app_average_memory{app="web"}`)
	one := value(t, text, `pm2_app_pids_memory{app="web",instance="1"}`)
	if total != 2*average || one <= 0 || one >= total {
		t.Errorf("memory: %f in all, %f on average, %f of one", total, average, one)
	}
	for _, name := range []string{"pm2_free_memory", "pm2_cpu_count"} {
		if value(t, text, name) <= 0 {
			t.Errorf("%s is nothing", name)
		}
	}
}

func TestDiscoveryAndScrape(t *testing.T) {
	s := newHTTPStack(t, `
  good: {command: ACTOR, args: [actor, admin, ready], ready: {notify: true}, instances: 2, listeners: {admin: {addr: "127.0.0.1:0", shared: false}}}
  slow: {command: ACTOR, args: [actor, admin=slow, ready], ready: {notify: true}, listeners: {admin: {addr: "127.0.0.1:0", shared: false}}}
  broken: {command: ACTOR, args: [actor, admin=broken, ready], ready: {notify: true}, listeners: {admin: "127.0.0.1:0"}}
  elsewhere: {command: ACTOR, args: [actor, admin=elsewhere, ready], ready: {notify: true}, listeners: {admin: "127.0.0.1:0"}}
  large: {command: ACTOR, args: [actor, admin=large, ready], ready: {notify: true}, listeners: {admin: "127.0.0.1:0"}}
  half: {command: ACTOR, args: [actor, admin=half, ready], ready: {notify: true}, listeners: {admin: "127.0.0.1:0"}}
  away: {command: ACTOR, args: [actor, admin, ready], ready: {notify: true}, listeners: {admin: {addr: "127.0.0.1:0", shared: false}}}
  none: {command: ACTOR, args: [actor]}
`)
	s.must("up")
	s.must("stop", "away")
	addr := s.info().HTTP
	var groups []struct {
		Targets []string
		Labels  map[string]string
	}
	_, body, header := s.get("/sd")
	if err := json.Unmarshal([]byte(body), &groups); err != nil || header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v: %v\n%s", err, header, body)
	}
	found := map[string]bool{}
	for _, g := range groups {
		found[g.Labels["service"]+"/"+g.Labels["instance"]] = true
		if len(g.Targets) != 1 || g.Targets[0] != addr || g.Labels["__metrics_path__"] != "/scrape/"+g.Labels["service"]+"/"+g.Labels["instance"] || len(g.Labels) != 3 {
			t.Errorf("%+v", g)
		}
	}
	if len(groups) != 8 || !found["good/0"] || !found["good/1"] || !found["away/0"] || found["none/0"] {
		t.Errorf("found %v", found)
	}
	if _, body, _ := s.get("/sd", "Host", "runtime:9900"); !strings.Contains(body, `"runtime:9900"`) {
		t.Errorf("asked by another name: %s", body)
	}

	tests := []struct {
		name, path string
		status     int
		says       string
	}{
		{"an instance", "/scrape/good/1", 200, fmt.Sprintf("pid %d\nquery \"\"\nheaders 0\n", s.list()["good"].PID)},
		{"a query is not passed on", "/scrape/good/1?a=b", 200, "query \"\"\n"},
		{"slow", "/scrape/slow/0", 504, "in time"},
		{"broken", "/scrape/broken/0", 502, "answers 500"},
		{"it sends elsewhere", "/scrape/elsewhere/0", 502, "answers 302"},
		{"more than anybody stores", "/scrape/large/0", 200, "unexpected EOF"},
		{"it ends in the middle", "/scrape/half/0", 0, "EOF"},
		{"stopped", "/scrape/away/0", 503, "does not run"},
		{"no admin listener", "/scrape/none/0", 404, "no admin listener"},
		{"no such process", "/scrape/nobody/0", 404, "no such process"},
		{"no such instance", "/scrape/good/2", 404, "no such process"},
		{"an instance of another form", "/scrape/good/01", 404, "no such process"},
		{"another page of it", "/scrape/good/0/debug", 404, ""},
		{"a way out", "/scrape/good/..%2f..", 404, ""},
		{"an address", "/scrape/127.0.0.1:22/0", 404, "no such process"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, body, header := s.get(test.path, "X-Prometheus-Scrape-Timeout-Seconds", "0.5", "Authorization", "Bearer x")
			if status != test.status || !strings.Contains(body, test.says) || header.Get("Set-Cookie") != "" {
				t.Errorf("%d %.200s %v", status, body, header)
			}
			if strings.Contains(body, "secret") {
				t.Errorf("it was followed: %s", body)
			}
		})
	}
}

func TestAPI(t *testing.T) {
	s := newHTTPStack(t, `
  web: {command: ACTOR, args: [actor, say=hush, "unless=DIR/bad", web, ready], ready: {notify: true}, listeners: {http: "127.0.0.1:0"}, env: {TOKEN: much-too-secret}}
`)
	s.must("up")
	touch(t, filepath.Join(s.dir, "bad"))
	s.fails(1, []string{"hush"}, "reload", "web")
	var rows []control.Process
	list := s.page("/api/list")
	if err := json.Unmarshal([]byte(list), &rows); err != nil || len(rows) != 1 || rows[0].PID != s.list()["web"].PID || !rows[0].Ready || rows[0].Memory == 0 {
		t.Errorf("%v: %s", err, list)
	}
	var info control.Info
	if err := json.Unmarshal([]byte(s.page("/api/info")), &info); err != nil || info != s.info() {
		t.Errorf("%v: %+v, not %+v", err, info, s.info())
	}
	var all, last []control.Event
	if err := json.Unmarshal([]byte(s.page("/api/events")), &all); err != nil || len(all) < 5 || all[0].Reason != control.AskedToStart {
		t.Errorf("%v: %+v", err, all)
	}
	if err := json.Unmarshal([]byte(s.page("/api/events?limit=2")), &last); err != nil || len(last) != 2 || last[1] != all[len(all)-1] {
		t.Errorf("%v: %+v", err, last)
	}
	for _, path := range []string{"/", "/metrics", "/sd", "/api/list", "/api/info", "/api/events?limit=1000", "/livez", "/readyz"} {
		if body := s.page(path); strings.Contains(body, "much-too-secret") || strings.Contains(body, "hush") {
			t.Errorf("%s tells secrets: %s", path, body)
		}
	}
	s.must("stop", "web")
	if status, body, _ := s.get("/readyz"); status != http.StatusServiceUnavailable || body != "web/0 is stopped\n" {
		t.Errorf("readyz: %d %s", status, body)
	}
	s.page("/livez")
}

func TestHostileRequests(t *testing.T) {
	s := newHTTPStack(t, "  p: {command: ACTOR, args: [actor]}\n")
	s.must("up")
	addr, pid := s.info().HTTP, s.list()["p"].PID
	tests := []struct {
		name, request string
		status        string // empty: closed without a word
	}{
		{"as it should be", "GET /livez HTTP/1.1\r\nHost: ADDR\r\n\r\n", "200"},
		{"localhost", "GET /livez HTTP/1.1\r\nHost: LocalHost:9900\r\n\r\n", "200"},
		{"a name of the file", "GET /livez HTTP/1.1\r\nHost: runtime:9900\r\n\r\n", "200"},
		{"IPv6", "GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n", "200"},
		{"HEAD", "HEAD /metrics HTTP/1.1\r\nHost: ADDR\r\n\r\n", "200"},
		{"another name", "GET /api/list HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"},
		{"another name, absolute", "GET http://evil.example/api/list HTTP/1.1\r\nHost: ADDR\r\n\r\n", "421"},
		{"a name that begins well", "GET /livez HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", "421"},
		{"a name that ends well", "GET /livez HTTP/1.1\r\nHost: evil.localhost\r\n\r\n", "421"},
		{"no name", "GET /livez HTTP/1.0\r\n\r\n", "421"},
		{"an empty name", "GET /livez HTTP/1.1\r\nHost: \r\n\r\n", "421"},
		{"a port that is none", "GET /livez HTTP/1.1\r\nHost: localhost:x\r\n\r\n", "421"},
		{"two names", "GET /livez HTTP/1.1\r\nHost: ADDR\r\nHost: evil.example\r\n\r\n", "400"},
		{"POST", "POST /api/list HTTP/1.1\r\nHost: ADDR\r\nContent-Length: 0\r\n\r\n", "405"},
		{"a command", "POST /v1/stop HTTP/1.1\r\nHost: ADDR\r\nContent-Length: 17\r\n\r\n{\"names\":[\"all\"]}", "405"},
		{"a command by GET", "GET /v1/processes HTTP/1.1\r\nHost: ADDR\r\n\r\n", "404"},
		{"DELETE", "DELETE /api/list HTTP/1.1\r\nHost: ADDR\r\n\r\n", "405"},
		{"OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: ADDR\r\n\r\n", "405"},
		{"CONNECT", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n", "405"},
		{"a method of its own", "STEAL /metrics HTTP/1.1\r\nHost: ADDR\r\n\r\n", "405"},
		{"up and out", "GET /../../etc/passwd HTTP/1.1\r\nHost: ADDR\r\n\r\n", "404"},
		{"slashes", "GET //metrics HTTP/1.1\r\nHost: ADDR\r\n\r\n", "404"},
		{"a folder", "GET /metrics/ HTTP/1.1\r\nHost: ADDR\r\n\r\n", "404"},
		{"no path", "GET metrics HTTP/1.1\r\nHost: ADDR\r\n\r\n", "400"},
		{"a long path", "GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: ADDR\r\n\r\n", "431"},
		{"large headers", "GET /livez HTTP/1.1\r\nHost: ADDR\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431"},
		{"no HTTP", "\x16\x03\x01\x00\xa5\x01\r\n\r\n", "400"},
		{"a line break in a header", "GET /livez HTTP/1.1\r\nHost: ADDR\r\nX: a\rb\r\n\r\n", "400"},
		{"two lengths", "GET /livez HTTP/1.1\r\nHost: ADDR\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "400"},
		{"a limit of 0", "GET /api/events?limit=0 HTTP/1.1\r\nHost: ADDR\r\n\r\n", "400"},
		{"a limit beyond all", "GET /api/events?limit=1001 HTTP/1.1\r\nHost: ADDR\r\n\r\n", "400"},
		{"a limit that is no number", "GET /api/events?limit=9e9 HTTP/1.1\r\nHost: ADDR\r\n\r\n", "400"},
		{"two limits", "GET /api/events?limit=1&limit=2 HTTP/1.1\r\nHost: ADDR\r\n\r\n", "400"},
		{"another parameter", "GET /api/events?after=1 HTTP/1.1\r\nHost: ADDR\r\n\r\n", "400"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			go func() { _, _ = io.WriteString(conn, strings.ReplaceAll(test.request, "ADDR", addr)) }()
			line, _ := bufio.NewReader(conn).ReadString('\n')
			if got := strings.Fields(line + " - -")[1]; got != test.status {
				t.Errorf("%q, want %s", line, test.status)
			}
		})
	}
	if after := s.list()["p"]; after.PID != pid || after.Status != control.Ready {
		t.Errorf("p is now %+v", after)
	}
}

// Clients that say nothing, or only little at a time, are sent away, and more of them than a few are not let in.
func TestSlowClients(t *testing.T) {
	s := newHTTPStack(t, "  p: {command: ACTOR, args: [actor]}\n")
	s.must("up")
	addr := s.info().HTTP
	for n := range 200 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if n%2 == 0 {
			_, _ = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: "+addr+"\r\nX-Slow: ")
		}
	}
	eventually(t, "it answers again", func() error {
		res, err := http.Get("http://" + addr + "/livez")
		if err == nil {
			res.Body.Close()
		}
		return err
	})
	if n := value(t, s.page("/metrics"), `pgo_manager_resident_memory_bytes{half="manager"}`); n > 100<<20 {
		t.Errorf("the manager has %f bytes", n)
	}
}

// The listener is the keeper's: whoever asks while there is no manager waits for the next one, and counters go on.
func TestHTTPOutlivesTheManager(t *testing.T) {
	s := newHTTPStack(t, `
  web: {command: ACTOR, args: [actor, admin, web, ready], ready: {notify: true}, reload: {stable: 10ms},
    listeners: {http: "127.0.0.1:0", admin: {addr: "127.0.0.1:0", shared: false}}}
  crash: {command: ACTOR, args: [actor, "once=DIR/crashed", ready], ready: {notify: true}}
`)
	s.must("up")
	s.must("reload", "web")
	addr, path := s.info().HTTP, "/scrape/web/0"
	before := s.page(path)
	for n := range 3 {
		manager := s.info().Manager
		if err := proc.Kill(manager, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		res, err := http.Get("http://" + addr + "/livez")
		if err != nil { // it may have been taken by the one that was killed, not by nobody
			t.Logf("%d: %v", n, err)
		} else {
			res.Body.Close()
		}
		eventually(t, "there is another manager", func() error {
			if now := s.info().Manager; now == manager || now == 0 {
				return fmt.Errorf("it is %d", now)
			}
			return nil
		})
	}
	if now := s.info().HTTP; now != addr {
		t.Errorf("it moved from %s to %s", addr, now)
	}
	if after := s.page(path); after != before {
		t.Errorf("the process was asked %q before and %q after", before, after)
	}
	s.has("metrics", s.page("/metrics"), `pgo_manager_restarts_total 3`, `pgo_reload_total{name="web",result="done"} 1`,
		`pgo_reload_duration_seconds_count{name="web"} 1`, `pgo_process_restarts_total{name="crash",instance="0"} 1`)
	s.must("upgrade")
	if s.page("/livez"); s.info().HTTP != addr {
		t.Errorf("an upgrade moved it to %s", s.info().HTTP)
	}
}

func TestHTTPIsAsTheFileSays(t *testing.T) {
	const process = "  p: {command: ACTOR, args: [actor]}\n"
	s := newStack(t, process)
	first, second := freeAddr(t), freeAddr(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.must("up")
	if now := s.info().HTTP; now != "" {
		t.Errorf("off, and yet at %s", now)
	}
	pid := s.list()["p"].PID
	tests := []struct {
		name, http, at, plan string
	}{
		{"on", first, first, "pgo          http     " + first + ", was off"},
		{"somewhere else", second, second, second + ", was " + first},
		{"by another name", "{addr: \"" + second + "\", hosts: [other]}", second, "the file has it otherwise"},
		{"as it was", "{addr: \"" + second + "\", hosts: [other]}", second, "nothing to do"},
		{"off", `""`, "", "off, was " + second},
	}
	was := ""
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.serveHTTP(test.http, process)
			if out := s.must("apply", "--dry-run"); !strings.Contains(out, test.plan) {
				t.Errorf("dry run: %s", out)
			}
			s.must("apply")
			if now := s.info().HTTP; now != test.at {
				t.Fatalf("it is at %q", now)
			}
			if test.at != "" {
				s.page("/livez")
			}
			if conn, err := net.Dial("tcp", was); was != "" && was != test.at && err == nil {
				conn.Close()
				t.Errorf("it is still at %s", was)
			}
			was = test.at
		})
	}
	s.serveHTTP(first, process)
	s.must("apply")
	s.serveHTTP(taken.Addr().String(), process)
	s.fails(1, []string{"pgo's own http: " + taken.Addr().String() + " is in use by "}, "apply")
	s.page("/livez")
	if now := s.list()["p"].PID; now != pid {
		t.Errorf("p was started anew: %d, was %d", now, pid)
	}
}
