package e2e

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

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

// newHTTPStack returns a sandbox with pgo's own HTTP on a free port.
func newHTTPStack(t *testing.T, processes string) *sandbox {
	t.Helper()
	s := newSandbox(t, processes)
	s.setHTTP(`{addr: "127.0.0.1:0", hosts: [runtime, pgo.example]}`, processes)
	return s
}

// setHTTP writes the process file with this value of http.
func (s *sandbox) setHTTP(http, processes string) {
	s.t.Helper()
	s.http = "http: " + http + "\n"
	s.writeProcessFile(processes)
}

// getHTTP sends a request to pgo's own HTTP. Headers are pairs; Host is one. Without a response the body is the error.
func (s *sandbox) getHTTP(path string, headers ...string) (status int, body string, header http.Header) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+s.readInfo().HTTP+path, nil)
	if err != nil {
		s.t.Fatal(err)
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

// mustGetPage returns the body of a 200 response.
func (s *sandbox) mustGetPage(path string) string {
	s.t.Helper()
	status, body, _ := s.getHTTP(path)
	if status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, status, body)
	}
	return body
}

func TestDiscoveryAndScrape(t *testing.T) {
	t.Parallel()
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
	s.mustRun("up")
	s.mustRun("stop", "away")
	addr := s.readInfo().HTTP
	var groups []struct {
		Targets []string
		Labels  map[string]string
	}
	_, body, header := s.getHTTP("/sd")
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
	if _, body, _ := s.getHTTP("/sd", "Host", "runtime:9900"); !strings.Contains(body, `"runtime:9900"`) {
		t.Errorf("asked by another name: %s", body)
	}

	tests := []struct {
		name, path string
		status     int
		want       string
	}{
		{"an instance", "/scrape/good/1", 200, fmt.Sprintf("pid %d\nquery \"\"\nheaders 0\n", s.listByName()["good"].PID)},
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
			timeout := "20"
			if test.name == "slow" {
				timeout = "0.5"
			}
			status, body, header := s.getHTTP(test.path, "X-Prometheus-Scrape-Timeout-Seconds", timeout, "Authorization", "Bearer x")
			if status != test.status || !strings.Contains(body, test.want) || header.Get("Set-Cookie") != "" {
				t.Errorf("%d %.200s %v", status, body, header)
			}
			if strings.Contains(body, "secret") {
				t.Errorf("it was followed: %s", body)
			}
		})
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	s := newHTTPStack(t, `
  web: {command: ACTOR, args: [actor, print=hush, "unless=DIR/bad", web, ready], ready: {notify: true}, listeners: {http: "127.0.0.1:0"}, env: {TOKEN: much-too-secret}}
`)
	s.mustRun("up")
	touchFile(t, filepath.Join(s.dir, "bad"))
	s.assertFails(1, []string{"hush"}, "reload", "web")
	var rows []control.Process
	list := s.mustGetPage("/api/list")
	if err := json.Unmarshal([]byte(list), &rows); err != nil || len(rows) != 1 || rows[0].PID != s.listByName()["web"].PID || !rows[0].Ready || rows[0].Memory == 0 {
		t.Errorf("%v: %s", err, list)
	}
	var info control.Info
	if err := json.Unmarshal([]byte(s.mustGetPage("/api/info")), &info); err != nil || info != s.readInfo() {
		t.Errorf("%v: %+v, not %+v", err, info, s.readInfo())
	}
	var all, last []control.Event
	if err := json.Unmarshal([]byte(s.mustGetPage("/api/events")), &all); err != nil || len(all) < 5 || all[0].Reason != control.ReasonAskedToStart {
		t.Errorf("%v: %+v", err, all)
	}
	if err := json.Unmarshal([]byte(s.mustGetPage("/api/events?limit=2")), &last); err != nil || len(last) != 2 || last[1] != all[len(all)-1] {
		t.Errorf("%v: %+v", err, last)
	}
	for _, path := range []string{"/", "/metrics", "/sd", "/api/list", "/api/info", "/api/events?limit=1000", "/livez", "/readyz"} {
		if body := s.mustGetPage(path); strings.Contains(body, "much-too-secret") || strings.Contains(body, "hush") {
			t.Errorf("%s has secrets: %s", path, body)
		}
	}
	s.mustRun("stop", "web")
	if status, body, _ := s.getHTTP("/readyz"); status != http.StatusServiceUnavailable || body != "web/0 is stopped\n" {
		t.Errorf("readyz: %d %s", status, body)
	}
	s.mustGetPage("/livez")
}

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	s := newHTTPStack(t, "  p: {command: ACTOR, args: [actor]}\n")
	s.mustRun("up")
	addr, pid := s.readInfo().HTTP, s.listByName()["p"].PID
	tests := []struct {
		name, request string
		status        string // empty: closed without a response
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
		{"a directory", "GET /metrics/ HTTP/1.1\r\nHost: ADDR\r\n\r\n", "404"},
		{"no path", "GET metrics HTTP/1.1\r\nHost: ADDR\r\n\r\n", "400"},
		{"a long path", "GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: ADDR\r\n\r\n", "431"},
		{"large headers", "GET /livez HTTP/1.1\r\nHost: ADDR\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431"},
		{"no HTTP", "\x16\x03\x01\x00\xa5\x01\r\n\r\n", "400"},
		{"a line break in a header", "GET /livez HTTP/1.1\r\nHost: ADDR\r\nX: a\rb\r\n\r\n", "400"},
		{"two lengths", "GET /livez HTTP/1.1\r\nHost: ADDR\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "400"},
		{"a limit of 0", "GET /api/events?limit=0 HTTP/1.1\r\nHost: ADDR\r\n\r\n", "400"},
		{"a limit beyond all", "GET /api/events?limit=1001 HTTP/1.1\r\nHost: ADDR\r\n\r\n", "400"},
		{"a limit that is not a number", "GET /api/events?limit=9e9 HTTP/1.1\r\nHost: ADDR\r\n\r\n", "400"},
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
	if after := s.listByName()["p"]; after.PID != pid || after.Status != control.Ready {
		t.Errorf("p is now %+v", after)
	}
}

// Clients that send nothing, or little at a time, are disconnected, and the number of connections is limited.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	s := newHTTPStack(t, "  p: {command: ACTOR, args: [actor]}\n")
	s.mustRun("up")
	addr := s.readInfo().HTTP
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
	if n := metricValue(t, s.mustGetPage("/metrics"), `pgo_manager_resident_memory_bytes{half="manager"}`); n > 100<<20 {
		t.Errorf("the manager has %f bytes", n)
	}
}

// The listener is the keeper's: a client that connects while there is no manager waits for the next one, and counters continue.
func TestHTTPOutlivesTheManager(t *testing.T) {
	t.Parallel()
	s := newHTTPStack(t, `
  web: {command: ACTOR, args: [actor, admin, web, ready], ready: {notify: true}, reload: {stable: 10ms},
    listeners: {http: "127.0.0.1:0", admin: {addr: "127.0.0.1:0", shared: false}}}
  crash: {command: ACTOR, args: [actor, "once=DIR/crashed", ready], ready: {notify: true}}
`)
	s.mustRun("up")
	s.mustRun("reload", "web")
	addr, path := s.readInfo().HTTP, "/scrape/web/0"
	before := s.mustGetPage(path)
	for n := range 3 {
		manager := s.readInfo().ManagerPID
		if err := proc.Kill(manager, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		res, err := http.Get("http://" + addr + "/livez")
		if err != nil { // the killed manager may have accepted it
			t.Logf("%d: %v", n, err)
		} else {
			res.Body.Close()
		}
		eventually(t, "there is another manager", func() error {
			if now := s.readInfo().ManagerPID; now == manager || now == 0 {
				return fmt.Errorf("it is %d", now)
			}
			return nil
		})
	}
	if now := s.readInfo().HTTP; now != addr {
		t.Errorf("it moved from %s to %s", addr, now)
	}
	if after := s.mustGetPage(path); after != before {
		t.Errorf("the process was asked %q before and %q after", before, after)
	}
	s.assertLines("metrics", s.mustGetPage("/metrics"), `pgo_manager_restarts_total 3`, `pgo_reload_total{name="web",result="done"} 1`,
		`pgo_reload_duration_seconds_count{name="web"} 1`, `pgo_process_restarts_total{name="crash",instance="0"} 1`)
	s.mustRun("upgrade")
	if s.mustGetPage("/livez"); s.readInfo().HTTP != addr {
		t.Errorf("an upgrade moved it to %s", s.readInfo().HTTP)
	}
}

func TestHTTPFollowsTheProcessFile(t *testing.T) {
	t.Parallel()
	const process = "  p: {command: ACTOR, args: [actor]}\n"
	s := newSandbox(t, process)
	first, second := reserveAddr(t), reserveAddr(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.mustRun("up")
	if now := s.readInfo().HTTP; now != "" {
		t.Errorf("off, and yet at %s", now)
	}
	pid := s.listByName()["p"].PID
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
			s.setHTTP(test.http, process)
			if out := s.mustRun("apply", "--dry-run"); !strings.Contains(out, test.plan) {
				t.Errorf("dry run: %s", out)
			}
			s.mustRun("apply")
			if now := s.readInfo().HTTP; now != test.at {
				t.Fatalf("it is at %q", now)
			}
			if test.at != "" {
				s.mustGetPage("/livez")
			}
			if conn, err := net.Dial("tcp", was); was != "" && was != test.at && err == nil {
				conn.Close()
				t.Errorf("it is still at %s", was)
			}
			was = test.at
		})
	}
	s.setHTTP(first, process)
	s.mustRun("apply")
	s.setHTTP(taken.Addr().String(), process)
	s.assertFails(1, []string{"pgo's own http: " + taken.Addr().String() + " is in use by "}, "apply")
	s.mustGetPage("/livez")
	if now := s.listByName()["p"].PID; now != pid {
		t.Errorf("p was restarted: %d, was %d", now, pid)
	}
}
