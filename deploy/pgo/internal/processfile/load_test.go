package processfile

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(key string) (string, bool) {
		value, ok := env[key]
		return value, ok
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A process whose condition is false is as if the file did not have it, and no one waits for it.
func TestConditions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgo.yaml")
	write(t, path, `
version: 1
processes:
  a: {command: x, kind: infra, if: "${A:-true}"}
  b: {command: x, kind: infra, if: "${B:-true}"}
  c: {command: x, kind: infra, after: [a, b]}
  d: {command: x, kind: infra, if: false, after: [c]}
`)
	for _, tc := range []struct {
		name string
		env  map[string]string
		want map[string][]string
	}{
		{"by default", nil, map[string][]string{"a": nil, "b": nil, "c": {"a", "b"}}},
		{"one is left out", map[string]string{"A": "false", "B": "true"}, map[string][]string{"b": nil, "c": {"b"}}},
		{"both are left out", map[string]string{"A": "false", "B": "false"}, map[string][]string{"c": nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := Load(path, lookup(tc.env))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][]string{}
			for _, p := range f.Processes {
				got[p.Name] = p.After
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			assertSurvivesSending(t, f)
		})
	}
}

// assertSurvivesSending checks that a file is the same after it was sent to the manager: else the manager, which also reads files
// itself, would restart processes that have not changed.
func assertSurvivesSending(t *testing.T, f File) {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var sent File
	if err := json.Unmarshal(text, &sent); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f, sent) {
		t.Errorf("after it was sent it is not the same (-read +sent):\n%s", cmp.Diff(f, sent))
	}
}

func TestLoad(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "configs", "pgo.yaml")
	write(t, filepath.Join(root, "home", "env"), "# addresses\n\nDB=127.0.0.1:1000\nEMPTY=\nURL=a=b c\n")
	write(t, path, `
version: 1
env_file: ${HOME_DIR}/env
processes:
  db:
    kind: infra
    command: bin/stack
    args: [run, "${KIND:-mysql}", "$$HOME $x ${EMPTY:-none}"]
    version: [version, --json]
    ready: {tcp: "${DB}", within: 1m}
    stop: {signal: SIGQUIT, timeout: 60s}
  web:
    command: ./web
    after: [db]
    listeners: {http: "[::1]:80", admin: {addr: "127.0.0.1:0", shared: false}}
    ready: {exec: [bin/probe, ./ready]}
    live: {exec: [probe, ./live]}
    restart: {final_exit_codes: [65, 78]}
    watch: {probation: 1m, errors: {above: 2.5%, path: /m, min_requests: 5}}
    env: {DB: over, NUMBER: 7, FILE: "${HOME_DIR}/x"}
`)
	got, err := Load(path, lookup(map[string]string{"HOME_DIR": "home", "DB": "the env file's counts"}))
	if err != nil {
		t.Fatal(err)
	}
	db, web := Process{Name: "db"}, Process{Name: "web"}
	db.Defaults()
	web.Defaults()
	db.Condition, web.Condition = "", "" // the file has none
	db.Kind, db.Command, db.Args = KindInfra, filepath.Join(root, "bin/stack"), []string{"run", "mysql", "$HOME $x none"}
	db.VersionArgs = []string{"version", "--json"}
	db.Readiness = Readiness{TCP: "127.0.0.1:1000", Timeout: time.Minute}
	db.Stop = Stop{Signal: "SIGQUIT", Timeout: time.Minute}
	db.Env = map[string]string{"DB": "127.0.0.1:1000", "EMPTY": "", "URL": "a=b c"}
	db.Reload.Mode = ReloadRefused
	web.Command, web.After = filepath.Join(root, "web"), []string{"db"}
	web.Watch.Enabled, web.Watch.Probation = true, time.Minute
	web.Watch.ErrorRate.Enabled, web.Watch.ErrorRate.MaxIncrease, web.Watch.ErrorRate.Path, web.Watch.ErrorRate.MinRequests = true, 0.025, "/m", 5
	web.Listeners = []Listener{{Name: "http", Addr: "[::1]:80"}, {Name: "admin", Addr: "127.0.0.1:0", PerInstance: true}}
	web.Readiness.Exec, web.Liveness.Exec = []string{filepath.Join(root, "bin/probe"), "./ready"}, []string{"probe", "./live"}
	web.Restart.FinalExitCodes = []int{65, 78}
	web.Env = map[string]string{"DB": "over", "EMPTY": "", "URL": "a=b c", "NUMBER": "7", "FILE": "home/x"}
	web.Reload.Mode = ReloadBeside
	want := File{Path: path, Root: root, HTTP: HTTP{Addr: "127.0.0.1:9900"}, Processes: []Process{db, web}}
	assertSurvivesSending(t, got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHTTP(t *testing.T) {
	tests := []struct {
		name, line string
		want       HTTP
	}{
		{"not said", "", HTTP{Addr: "127.0.0.1:9900"}},
		{"an address", "http: 127.0.0.1:80", HTTP{Addr: "127.0.0.1:80"}},
		{"a variable", `http: "${ADDR}"`, HTTP{Addr: "[::1]:1000"}},
		{"off", `http: ""`, HTTP{}},
		{"a variable that is not set", `http: "${NO:-}"`, HTTP{}},
		{"a mapping", "http: {addr: 0.0.0.0:80, hosts: [runtime, a.b-c.example], pm2_names: true}", HTTP{Addr: "0.0.0.0:80", Hosts: []string{"runtime", "a.b-c.example"}, PM2Names: true}},
		{"a mapping without an address", "http: {hosts: [runtime]}", HTTP{Addr: "127.0.0.1:9900", Hosts: []string{"runtime"}}},
		{"a mapping that is off", `http: {addr: ""}`, HTTP{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pgo.yaml")
			write(t, path, "version: 1\n"+test.line+"\nprocesses: {p: {command: x, listeners: {free: \"127.0.0.1:0\"}}}\n")
			got, err := Load(path, lookup(map[string]string{"ADDR": "[::1]:1000"}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.HTTP); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	// Each text follows "version: 1" and "processes:", except where it begins with a key of its own. The error is what
	// a person sees after the file's name.
	tests := []struct{ name, text, want string }{
		{"unknown key", "p: {command: x,\n reddy: 1}", ":4:4: processes.p.reddy: unknown key; known keys are after, args, ask, command, cron, cwd, env, env_files, group, if, instances, kind, limits, listeners, live, logs, plan, ready, reload, restart, stop, user, version, watch, watchdog"},
		{"unknown key on top", "!version: 1\nprocs: {}", ":2:1: procs: unknown key; known keys are env_file, http, processes, version\nFILE: processes: is missing"},
		{"unknown key with a block below", "p:\n  command: x\n  redy:\n    tcp: x", ":5:5: processes.p.redy: unknown key"},
		{"unknown key in ready", "p: {command: x, ready: {tpc: x}}", ":3:27: processes.p.ready.tpc: unknown key; known keys are exec, http, notify, tcp, within"},
		{"a name twice", "p: {command: x}\np: {command: x}", ":4:3: processes.p: is there twice"},
		{"a key twice", "p: {command: x, command: y}", ":3:19: processes.p.command: is there twice"},
		{"command missing", "p: {kind: infra}", ":3:3: processes.p.command: is missing"},
		{"command empty", `p: {command: ""}`, ":3:7: processes.p.command: is empty"},
		{"command is a list", "p: {command: [x]}", ":3:7: processes.p.command: expected text, found a list"},
		{"command is nothing", "p: {command: }", ":3:7: processes.p.command: expected text, found nothing"},
		{"process is nothing", "p:", ":3:3: processes.p: expected a mapping, found nothing"},
		{"args are text", "p: {command: x, args: y}", `:3:19: processes.p.args: expected a list, found "y"`},
		{"arg is a mapping", "p:\n  command: x\n  args:\n    - a\n    - {b: c}", ":7:9: processes.p.args[1]: expected text, found a mapping"},
		{"kind", "p: {command: x, kind: gat}", `:3:19: processes.p.kind: expected one of infra, gate, service, one-shot, found "gat"`},
		{"after no process", "p: {command: x, after: [q]}", `:3:27: processes.p.after: there is no process "q"`},
		{"after itself", "p: {command: x, after: [p]}", ":3:27: processes.p.after: a process cannot wait for itself"},
		{"after twice", "p: {command: x}\nq: {command: x, after: [p, p]}", ":4:30: processes.q.after: p is there twice"},
		{"circle", "p: {command: x, after: [q]}\nq: {command: x, after: [r]}\nr: {command: x, after: [q]}", ":4:19: processes.q.after: waits in a circle: q → r → q"},
		{"address without port", "p: {command: x, listeners: {http: 127.0.0.1}}", `:3:31: processes.p.listeners.http: expected an IP address and port such as 127.0.0.1:8080, found "127.0.0.1"`},
		{"address with a name", "p: {command: x, listeners: {http: \"localhost:80\"}}", ":3:31: processes.p.listeners.http: expected an IP address"},
		{"port too high", "p: {command: x, listeners: {http: \"127.0.0.1:70000\"}}", ":3:31: processes.p.listeners.http: expected an IP address"},
		{"probe of port 0", "p: {command: x, ready: {tcp: \"127.0.0.1:0\"}}", ":3:27: processes.p.ready.tcp: expected an IP address"},
		{"address twice", "p: {command: x, listeners: {http: \"127.0.0.1:80\"}}\nq: {command: x, listeners: {http: \"127.0.0.1:80\"}}", ":4:31: processes.q.listeners.http: 127.0.0.1:80 is already a listener of p"},
		{"url", "p: {command: x, ready: {http: \"127.0.0.1/\"}}", ":3:27: processes.p.ready.http: expected a URL"},
		{"two probes", "p: {command: x, ready: {notify: true, tcp: \"127.0.0.1:1\"}}", ":3:19: processes.p.ready: expected one of notify, tcp, http and exec, found 2 of them"},
		{"notify is text", "p: {command: x, ready: {notify: maybe}}", `:3:27: processes.p.ready.notify: expected true or false, found "maybe"`},
		{"time without unit", "p: {command: x, ready: {within: 30}}", `:3:27: processes.p.ready.within: expected a time such as 500ms, 30s or 10m, at most 24h, found "30"`},
		{"time below zero", "p: {command: x, stop: {timeout: -1s}}", ":3:26: processes.p.stop.timeout: expected a time"},
		{"schedule", "p: {command: x, cron: at night}", `:3:19: processes.p.cron: expected a schedule such as "0 3 * * *" (minute, hour, day, month, weekday) or @daily, found "at night"`},
		{"a schedule that is never due", `p: {command: x, cron: "0 0 31 2 *"}`, ":3:19: processes.p.cron: expected a schedule"},
		{"signal", "p: {command: x, stop: {signal: TERM}}", `:3:26: processes.p.stop.signal: expected a signal such as SIGTERM, found "TERM"`},
		{"exit code", "p: {command: x, restart: {final_exit_codes: [300]}}", ":3:48: processes.p.restart.final_exit_codes[0]: expected 0 to 255, found 300"},
		{"exit code is text", "p: {command: x, restart: {final_exit_codes: [\"1\"]}}", `:3:48: processes.p.restart.final_exit_codes[0]: expected a whole number, found "1"`},
		{"policy", "p: {command: x, restart: {policy: sometimes}}", `:3:29: processes.p.restart.policy: expected one of always, on-failure, never, found "sometimes"`},
		{"waits", "p: {command: x, restart: {first_wait: 1m}}", ":3:19: processes.p.restart: first_wait is longer than longest_wait"},
		{"instances", "p: {command: x, instances: 0}", ":3:19: processes.p.instances: expected 1 to 64, found 0"},
		{"instances are text", "p: {command: x, instances: many}", `:3:19: processes.p.instances: expected a whole number, found "many"`},
		{"own listener on a port", "p: {command: x, listeners: {admin: {addr: \"127.0.0.1:80\", shared: false}}}", ":3:31: processes.p.listeners.admin: what is not shared needs a free port for each process: port 0"},
		{"listener without address", "p: {command: x, listeners: {admin: {shared: false}}}", ":3:31: processes.p.listeners.admin.addr: is missing"},
		{"reload mode", "p: {command: x, reload: {mode: fast}}", `:3:28: processes.p.reload.mode: expected one of beside, restart, refused, found "fast"`},
		{"live without a question", "p: {command: x, live: {every: 1s}}", ":3:19: processes.p.live: expected one of tcp, http and exec"},
		{"exec without a command", "p: {command: x, ready: {exec: []}}", ":3:27: processes.p.ready.exec: is empty"},
		{"a condition that is neither", "p: {command: x, if: maybe}", ":3:19: processes.p.if: expected one of true, false, found \"maybe\""},
		{"waiting for a process that the file does not have at all", "p: {command: x, after: [q]}", "there is no process \"q\""},
		{"watch of infra", "p: {command: ./x, kind: infra, watch: true}", ":3:34: processes.p.watch: only a service is watched"},
		{"watch of a bare name", "p: {command: x, watch: true, reload: {mode: beside}}", ":3:19: processes.p.watch: expected a command that is the path of a file"},
		{"watch without reload", "p: {command: ./x, watch: {keep: 3}}", ":3:21: processes.p.watch: what is watched is replaced by one beside it"},
		{"watch is text", "p: {command: ./x, watch: yes please}", `:3:21: processes.p.watch: expected true or false, found "yes please"`},
		{"watch keeps too little", "p: {command: ./x, watch: {keep: 1}}", ":3:29: processes.p.watch.keep: expected 2 to 1000, found 1"},
		{"unknown key in watch", "p: {command: ./x, watch: {delay: 1s}}", ":3:29: processes.p.watch.delay: unknown key; known keys are errors, keep, max_size, probation"},
		{"unknown key in errors", "p: {command: ./x, watch: {errors: {rate: 1}}}", ":3:38: processes.p.watch.errors.rate: unknown key; known keys are above, label, listener, metric, min_requests, path"},
		{"errors without a listener", "p: {command: ./x, listeners: {http: \"127.0.0.1:0\"}, watch: {errors: true}}", ":3:55: processes.p.watch: errors are looked for at the listener admin: expected one of each process's own (shared: false)"},
		{"errors at a shared listener", "p: {command: ./x, listeners: {admin: \"127.0.0.1:0\"}, watch: {errors: true}}", ":3:56: processes.p.watch: errors are looked for at the listener admin"},
		{"errors above all", "p: {command: ./x, watch: {errors: {above: 100%}}}", `:3:38: processes.p.watch.errors.above: expected a share such as 5% or 0.05, below 100%, found "100%"`},
		{"errors above no number", "p: {command: ./x, watch: {errors: {above: NaN}}}", ":3:38: processes.p.watch.errors.above: expected a share"},
		{"errors at an address", "p: {command: ./x, watch: {errors: {path: \"http://x/\"}}}", ":3:38: processes.p.watch.errors.path: expected a path such as /metrics"},
		{"errors of no metric", "p: {command: ./x, watch: {errors: {metric: a-b}}}", ":3:38: processes.p.watch.errors.metric: expected a metric's name"},
		{"ask of a service", "p: {command: x, ask: [once]}", ":3:19: processes.p.ask: only a gate is asked"},
		{"ask nothing", "p: {command: x, kind: gate, ask: []}", ":3:31: processes.p.ask: is empty"},
		{"size", "p: {command: x, logs: {max_size: 10}}", `:3:26: processes.p.logs.max_size: expected a size such as 512KB, 50MB or 1GB, at least 64KB, found "10"`},
		{"age", "p: {command: x, logs: {keep_for: 9999d}}", `:3:26: processes.p.logs.keep_for: expected a time such as 12h or 14d, at most 3650d, found "9999d"`},
		{"group without user", "p: {command: x, group: x}", ":3:19: processes.p.group: expected a user with it"},
		{"one-shot that restarts", "p: {command: x, kind: one-shot, restart: {policy: always}}", ":3:35: processes.p.restart: a one-shot ends by itself"},
		{"one-shot twice", "p: {command: x, kind: one-shot, instances: 2}", ":3:35: processes.p.instances: a one-shot has one instance"},
		{"limit", "p: {command: x, limits: {nice: 20}}", ":3:28: processes.p.limits.nice: expected -20 to 19, found 20"},
		{"env file of a process away", "p: {command: x, env_files: [nothing]}", ":3:31: processes.p.env_files[0]: open "},
		{"env name", "p: {command: x, env: {A-B: x}}", ":3:25: processes.p.env.A-B: expected a name of letters, digits and _"},
		{"env is a list", "p: {command: x, env: [A=B]}", ":3:19: processes.p.env: expected a mapping, found a list"},
		{"unset variable", "p: {command: \"${NO_SUCH}\"}", ":3:7: processes.p.command: ${NO_SUCH} is set neither in the env file nor in the environment"},
		{"open variable", "p: {command: \"${NO\"}", ":3:7: processes.p.command: ${NO has no closing brace"},
		{"variable of another form", "p: {command: \"${NO-x}\"}", ":3:7: processes.p.command: ${NO-x}: expected ${KEY} or ${KEY:-default}"},
		{"NUL", `p: {command: "a\0b"}`, ":3:7: processes.p.command: has a NUL byte"},
		{"process name", "P/..: {command: x}", ":3:3: processes.P/..: expected a name of a-z"},
		{"reserved name", "all: {command: x}", ":3:3: processes.all: expected a name"},
		{"name is a list", "[a]: {command: x}", ":3:3: processes: expected a name as key, found a list"},
		{"alias", "p: &p {command: x}\nq: *p", ":4:3: processes.q: expected a mapping, found an alias (anchors and aliases are not supported)"},
		{"merge", "p: &p {command: x}\nq: {<<: *p}", ":4:7: processes.q.<<: unknown key; known keys are after, args, ask, command, cron, cwd, env, env_files, group, if, instances, kind, limits, listeners, live, logs, plan, ready, reload, restart, stop, user, version, watch, watchdog\nFILE:4:3: processes.q.command: is missing"},
		{"no version", "!processes: {p: {command: x}}", ": version: is missing"},
		{"other version", "!version: 2\nprocesses: {p: {command: x}}", `:1:1: version: expected 1, found "2"`},
		{"no processes", "!version: 1", ": processes: is missing"},
		{"empty processes", "!version: 1\nprocesses: {}", ":2:1: processes: is empty"},
		{"empty file", "!", ": is empty"},
		{"only a comment", "!# hello\n", ": is empty"},
		{"a list", "!- x", ":1:1: expected a mapping, found a list"},
		{"no YAML", "!version: 1\na: b: c", ":2: not YAML: mapping values are not allowed in this context"},
		{"two documents", "p: {command: x}\n---\na: b", "expected one YAML document, found another"},
		{"http without a port", "!version: 1\nhttp: 127.0.0.1\nprocesses: {p: {command: x}}", `:2:1: http: expected an IP address and port such as 127.0.0.1:8080, found "127.0.0.1"`},
		{"http by name", "!version: 1\nhttp: localhost:9900\nprocesses: {p: {command: x}}", ":2:1: http: expected an IP address and port"},
		{"http is nothing", "!version: 1\nhttp:\nprocesses: {p: {command: x}}", ":2:1: http: expected text, found nothing"},
		{"http is a list", "!version: 1\nhttp: []\nprocesses: {p: {command: x}}", ":2:1: http: expected text, found a list"},
		{"http with an unknown key", "!version: 1\nhttp: {port: 1}\nprocesses: {p: {command: x}}", ":2:8: http.port: unknown key; known keys are addr, hosts, pm2_names"},
		{"http for a host with a port", "!version: 1\nhttp: {hosts: [\"runtime:9900\"]}\nprocesses: {p: {command: x}}", ":2:16: http.hosts[0]: expected a host's name in small letters, without a port, found \"runtime:9900\""},
		{"http where a process listens", "!version: 1\nhttp: 127.0.0.1:80\nprocesses:\n  p: {command: x, listeners: {web: \"127.0.0.1:80\"}}", ":4:31: processes.p.listeners.web: 127.0.0.1:80 is pgo's own http already"},
		{"env file away", "!version: 1\nenv_file: nothing\nprocesses: {p: {command: x}}", ":2:1: env_file: open "},
		{"env file bad", "!version: 1\nenv_file: bad.env\nprocesses: {p: {command: x}}", "bad.env:2: expected KEY=value"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "bad.env"), "A=1\nsecret without a key\n")
			text, whole := strings.CutPrefix(test.text, "!")
			if !whole {
				text = "version: 1\nprocesses:\n  " + strings.ReplaceAll(text, "\n", "\n  ")
				text = strings.ReplaceAll(text, "\n  ---\n  ", "\n---\n")
			}
			path := filepath.Join(dir, "pgo.yaml")
			write(t, path, text)
			_, err := Load(path, lookup(nil))
			var wrong *Error
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v, want an *Error", err)
			}
			test.want = strings.ReplaceAll(test.want, "FILE", path)
			if got, want := strings.Count(err.Error(), "\n"), strings.Count(test.want, "\n"); got != want {
				t.Errorf("%d lines, want %d: %q", got+1, want+1, err)
			}
			if !strings.Contains(err.Error(), test.want) || strings.HasPrefix(test.want, ":") && !strings.HasPrefix(err.Error(), path+test.want) {
				t.Errorf("got  %s\nwant %s", err, path+test.want)
			}
		})
	}
}

// All that is wrong is reported at once, each on a line of its own.
func TestAllErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgo.yaml")
	write(t, path, `version: 1
processes:
  web: {comand: x, after: [db, nothing], ready: {tcp: here, http: there}}
  db: {command: x, kind: infa, env: {A-B: x, C: "${NO_SUCH}"}}
  db: {command: x}
http: here
other: 1
`)
	_, err := Load(path, lookup(nil))
	if err == nil {
		t.Fatal("it is valid")
	}
	want := []string{
		":3:9: processes.web.comand: unknown key; ", ":3:50: processes.web.ready.tcp: expected an IP address ", ":3:61: processes.web.ready.http: expected a URL ",
		":3:3: processes.web.command: is missing", ":4:20: processes.db.kind: expected one of ", ":4:38: processes.db.env.A-B: expected a name ",
		":4:46: processes.db.env.C: ${NO_SUCH} is set neither ", ":5:3: processes.db: is there twice", ":6:1: http: expected an IP address ", ":7:1: other: unknown key; ",
	}
	got := strings.Split(err.Error(), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d errors, want %d:\n%v", len(got), len(want), err)
	}
	for n, line := range got {
		if !strings.HasPrefix(line, path+want[n]) {
			t.Errorf("got  %s\nwant %s", line, path+want[n])
		}
	}
	write(t, path, "version: 1\nprocesses:\n  web: {command: x, after: [nothing, web], env_files: [no.env]}\n  db: {command: x, after: [none]}\n")
	if _, err := Load(path, lookup(nil)); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("of what names something else: %v", err)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	write(t, large, "# "+strings.Repeat("x", maxSize))
	for path, want := range map[string]string{
		filepath.Join(dir, "nothing.yaml"): "no such file or directory",
		dir:                                "is a directory",
		large:                              "is larger than 1 MiB",
	} {
		if _, err := Load(path, lookup(nil)); err == nil || err.Error() != path+": "+want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// FuzzProcessFile checks that any content gives a consistent file or an *Error.
func FuzzProcessFile(f *testing.F) {
	for _, seed := range []string{
		"version: 1\nprocesses:\n  p: {command: x, after: [q]}\n  q: {command: \"${A:-b}\", listeners: {http: \"127.0.0.1:0\"}}\n",
		"version: 1\nprocesses: &a {p: *a}\n", "a: b: c", "---\n---\n", "? [a]\n: b\n", "!!binary x", "version: 1\nprocesses: {p: {command: \"${\"}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := parseContent("pgo.yaml", "/configs/pgo.yaml", content, lookup(map[string]string{"A": "value"}))
		if err != nil {
			var wrong *Error
			if !errors.As(err, &wrong) {
				t.Fatalf("not an *Error: %v", err)
			}
			return
		}
		known := map[string]bool{}
		for _, p := range file.Processes {
			known[p.Name] = true
		}
		if len(known) != len(file.Processes) || len(known) == 0 || findCycle(file.Processes) != nil {
			t.Fatalf("does not hold together: %+v", file)
		}
		for _, p := range file.Processes {
			if p.Command == "" || p.Readiness.Timeout <= 0 || p.Stop.Timeout <= 0 || p.Instances < 1 {
				t.Fatalf("incomplete: %+v", p)
			}
			for _, name := range p.After {
				if !known[name] {
					t.Fatalf("%s is after an unknown process: %s", p.Name, name)
				}
			}
		}
	})
}
