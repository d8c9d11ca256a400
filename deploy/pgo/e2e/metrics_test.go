package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"pgo/deploy/pgo/internal/control"
)

func (s *sandbox) assertLines(what, text string, lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			s.t.Errorf("%s: no line %q in\n%s", what, line, text)
		}
	}
}

// lintMetrics checks metrics by the rules of promtool check metrics.
func lintMetrics(t *testing.T, metrics string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(metrics)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newHTTPStack(t, `
  web: {command: ACTOR, args: [actor, web, ready], ready: {notify: true}, instances: 2, listeners: {http: "127.0.0.1:0"}, reload: {stable: 10ms}, limits: {memory: 1GB}}
  once: {kind: one-shot, command: ACTOR, args: [actor, exit=0]}
  bad: {command: ACTOR, args: [actor, exit=7], restart: {final_exit_codes: [7]}}
  crash: {kind: infra, command: ACTOR, args: [actor, "once=DIR/crashed", ready], ready: {notify: true}}
  quiet: {kind: infra, command: ACTOR, args: [actor]}
`)
	s.runPgo("up")
	s.awaitStable()
	s.mustRun("reload", "web")
	s.mustRun("stop", "quiet")
	text := s.mustGetPage("/metrics")
	lintMetrics(t, text)
	s.assertLines("metrics", text,
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
		`pgo_process_kills_total{name="crash",instance="0",cause="watchdog"} 0`,
		`pgo_process_kills_total{name="crash",instance="0",cause="liveness"} 0`,
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
	web := s.listByName()["web"]
	started, memory := metricValue(t, text, `pgo_process_start_time_seconds{name="web",instance="1"}`), metricValue(t, text, `pgo_process_resident_memory_bytes{name="web",instance="1"}`)
	if age := float64(time.Now().Unix()) - started; age < -1 || age > 60 {
		t.Errorf("web was started %f s ago", age)
	}
	if memory < 1<<20 || memory > 10*float64(web.Memory) {
		t.Errorf("web has %f bytes, the list has %d", memory, web.Memory)
	}
	if files := metricValue(t, text, `pgo_process_open_fds{name="web",instance="0"}`); files < 4 {
		t.Errorf("web has %f files open", files)
	}
	for _, half := range []string{"keeper", "manager"} {
		if memory := metricValue(t, text, `pgo_manager_resident_memory_bytes{half="`+half+`"}`); memory < 1<<20 {
			t.Errorf("the %s has %f bytes", half, memory)
		}
	}
}

// awaitStable waits until no process changes its state.
func (s *sandbox) awaitStable() {
	s.t.Helper()
	eventually(s.t, "nothing is on its way", func() error {
		for _, p := range s.listInstances() {
			if p.Status != control.Ready && p.Status != control.Stopped && p.Status != control.Failed {
				return fmt.Errorf("%s is %s", p.Name, p.Status)
			}
		}
		return nil
	})
}

func metricValue(t *testing.T, metrics, series string) (n float64) {
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

// A counter never decreases while the process lives, also where its children come and go.
func TestCPUTimeGrows(t *testing.T) {
	t.Parallel()
	s := newHTTPStack(t, `
  busy: {kind: infra, command: sh, args: [-c, "while :; do sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'; done"]}
`)
	s.mustRun("up")
	last := 0.0
	eventually(t, "half a second of work", func() error {
		now := metricValue(t, s.mustGetPage("/metrics"), `pgo_process_cpu_seconds_total{name="busy",instance="0"}`)
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
	t.Parallel()
	const process = `
  web: {command: ACTOR, args: [actor, "unless=DIR/bad", web, ready], ready: {notify: true}, listeners: {http: "127.0.0.1:0"}, reload: {stable: 10ms}}
`
	s := newHTTPStack(t, process)
	s.mustRun("up")
	touchFile(t, filepath.Join(s.dir, "bad"))
	s.assertFails(1, nil, "reload", "web")
	s.assertLines("metrics", s.mustGetPage("/metrics"), `pgo_reload_total{name="web",result="failed"} 1`, `pgo_reload_total{name="web",result="done"} 0`,
		`pgo_reload_duration_seconds_count{name="web"} 0`)
}

func TestDroppedLogIsCounted(t *testing.T) {
	t.Parallel()
	s := newHTTPStack(t, `
  flood: {command: ACTOR, args: [actor, "await=DIR/go", "flood=60000:30000", "touch=DIR/written"], kind: infra}
`)
	s.mustRun("up")
	log := filepath.Join(s.homeDir(), "logs", "flood.log")
	redirectToFullDisk(t, log)
	touchFile(t, filepath.Join(s.dir, "go"))
	s.awaitPID("written")
	text := s.mustGetPage("/metrics")
	lines := metricValue(t, text, `pgo_process_log_dropped_lines_total{name="flood"}`)
	if bytes := metricValue(t, text, `pgo_process_log_dropped_bytes_total{name="flood"}`); lines < 1000 || bytes < lines {
		t.Errorf("%f lines, %f bytes were dropped", lines, bytes)
	}
}

func TestPM2Names(t *testing.T) {
	t.Parallel()
	const processes = `
  web: {command: ACTOR, args: [actor], instances: 2}
  bad: {command: ACTOR, args: [actor, exit=7], restart: {final_exit_codes: [7]}}
`
	s := newSandbox(t, processes)
	s.setHTTP(`{addr: "127.0.0.1:0", pm2_names: true}`, processes)
	s.runPgo("up")
	s.awaitState("bad", control.Failed)
	s.awaitStable()
	text := s.mustGetPage("/metrics")
	s.assertLines("metrics", text, `pm2_available_apps 2`, `pm2_app_instances{app="web"} 2`, `pm2_app_status{app="web"} 1`, `pm2_app_status{app="bad"} 4`,
		`pm2_app_restart_count{app="web",instance="1"} 0`, `pgo_process_up{name="web",instance="0"} 1`)
	total, average := metricValue(t, text, `pm2_app_total_memory{app="web"}`), metricValue(t, text, `pm2_app_average_memory{app="web"}`)
	one := metricValue(t, text, `pm2_app_pids_memory{app="web",instance="1"}`)
	if total != 2*average || one <= 0 || one >= total {
		t.Errorf("memory: %f in all, %f on average, %f of one", total, average, one)
	}
	for _, name := range []string{"pm2_free_memory", "pm2_cpu_count"} {
		if metricValue(t, text, name) <= 0 {
			t.Errorf("%s is nothing", name)
		}
	}
}
