package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgo/bootcheck/account"
	"pgo/bootcheck/internal/fixture"
	"pgo/bootcheck/server"
	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

// world is a bootcheck with one service on real servers.
type world struct {
	t       *testing.T
	servers server.Servers
	service account.Service
	binary  *fixture.Binary
	addr    string // where it serves
	extra   []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	servers := fixture.Servers(t)
	return &world{t: t, servers: servers, service: fixture.Service(t, servers), binary: fixture.NewBinary(t), addr: testkit.ReserveAddr(t)}
}

func (w *world) environ() []string {
	dir := w.t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "env"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	for name, text := range map[string]string{
		"base.yaml": "", "env/test.yaml": "",
		"bootcheck.yaml": fmt.Sprintf("services:\n  %s:\n    binary: %s\n", w.service.Name, w.binary.Path),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	s, svc := w.servers, "PGO_CFG_SERVICES__"+strings.ToUpper(w.service.Name)+"__"
	return append([]string{
		"PGO_CONFIG_DIR=" + dir, "PGO_ENV=test", "PGO_CFG_HTTP__ADDR=" + w.addr, "PGO_CFG_GATEWAY_URL=http://gateway.test:8080",
		"PGO_CFG_MYSQL__ADDR=" + s.MySQL.Addr, "PGO_CFG_MYSQL__USERNAME=" + s.MySQL.Username, "PGO_CFG_MYSQL__PASSWORD=" + s.MySQL.Password,
		"PGO_CFG_REDIS__ADDR=" + s.Redis.Addr, "PGO_CFG_REDIS__USERNAME=" + s.Redis.Username, "PGO_CFG_REDIS__PASSWORD=" + s.Redis.Password,
		"PGO_CFG_RABBITMQ__ADDR=" + s.RabbitMQ.Addr, "PGO_CFG_RABBITMQ__API=" + s.RabbitMQ.API, "PGO_CFG_RABBITMQ__VHOST=" + s.RabbitMQ.Vhost,
		"PGO_CFG_RABBITMQ__USERNAME=" + s.RabbitMQ.Username, "PGO_CFG_RABBITMQ__PASSWORD=" + s.RabbitMQ.Password,
		svc + "MYSQL_PASSWORD=" + w.service.MySQLPassword, svc + "REDIS_PASSWORD=" + w.service.RedisPassword, svc + "RABBITMQ_PASSWORD=" + w.service.RabbitMQPassword,
	}, w.extra...)
}

// run runs a command to its end.
func (w *world) run(args ...string) (output string, code int, err error) {
	var out bytes.Buffer
	err = run(w.t.Context(), args, w.environ(), &out)
	return out.String(), exitCode(err), err
}

// serve runs bootcheck until the test ends, or until stop is called, which returns what it ended with.
func (w *world) serve() (stop func() error, log *syncBuffer) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log = &syncBuffer{}
	ended := make(chan error, 1)
	environ := w.environ()
	go func() { ended <- run(ctx, nil, environ, log) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
	w.t.Cleanup(func() { _ = stop() })
	return stop, log
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) get(path string, headers ...string) (answer, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+w.addr+path, nil)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text)}, err
}

func (w *world) mustGet(path string, headers ...string) answer {
	w.t.Helper()
	a, err := w.get(path, headers...)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) awaitReady() {
	w.t.Helper()
	testkit.Eventually(w.t, "bootcheck is ready", func() error {
		a, err := w.get("/readyz")
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
}

// query reads one value of the service's database with the service's own account.
func (w *world) query(query string) string {
	w.t.Helper()
	db, err := server.OpenMySQL(server.Access{Addr: w.servers.MySQL.Addr, Username: w.service.Name, Password: w.service.MySQLPassword}, account.Database(w.service.Name))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	var s string
	if err := db.QueryRowContext(w.t.Context(), query).Scan(&s); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return s
}

func TestOnce(t *testing.T) {
	w := newWorld(t)
	w.binary.Migrations("00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a VALUES (7);")
	w.binary.Topology(mq.Topology{Queues: []mq.Queue{{Name: w.service.Name + ".events", Bindings: []string{"x.*.v1"}}}})
	if out, _, err := w.run("plan"); err != nil || !strings.Contains(out, "00001_a.sql") {
		t.Errorf("plan before: %s %v", out, err)
	}
	for range 2 {
		if out, code, err := w.run("once"); code != 0 {
			t.Fatalf("exit %d: %v\n%s", code, err, out)
		}
	}
	if got := w.query("SELECT GROUP_CONCAT(id) FROM a"); got != "7" {
		t.Errorf("rows %s", got)
	}
	r := w.servers.RabbitMQ
	if err := server.NewManagement(r).Do(t.Context(), http.MethodGet, nil, nil, "queues", r.Vhost, w.service.Name+".events"); err != nil {
		t.Error(err)
	}
	if out, _, err := w.run("plan"); err != nil || strings.Contains(out, "00001_a.sql") {
		t.Errorf("plan after: %s %v", out, err)
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name string
		args []string
		do   func(*world)
		code int
		want []string
	}{
		{"a statement that the server refuses", []string{"once"}, func(w *world) {
			w.binary.Migrations("00001_a.sql", "CREATE TABLE a (id INT);\nALTER TABLE nowhere ADD COLUMN b INT;")
		}, 65, []string{"00001_a.sql:3: statement 2 (ALTER TABLE nowhere ADD COLUMN b INT;)", "nowhere' doesn't exist"}},
		{"a migration that cannot be read", []string{"once"}, func(w *world) { w.binary.Migrations("00001_a.sql", "SELECT 1") }, 65, []string{"00001_a.sql:2: ", "does not end with ';'"}},
		{"a missing binary", []string{"once"}, func(w *world) { w.binary.Path += "x" }, 69, []string{"servicex: ", "no such file"}},
		{"a broken binary", []string{"once"}, func(w *world) { w.binary.Script("exit 1") }, 69, []string{"`version --json` of ", "exit status 1"}},
		{"a hostile archive", []string{"once"}, func(w *world) { w.binary.Migrations("../00001_a.sql", "SELECT 1;") }, 69, []string{"not at the top level"}},
		{"a queue of somebody else", []string{"once"}, func(w *world) {
			w.binary.Topology(mq.Topology{Queues: []mq.Queue{{Name: "pgo.events", Bindings: []string{"x"}}}})
		}, 69, []string{"pgo.events"}},
		{"no MySQL in time", []string{"once"}, func(w *world) {
			w.servers.MySQL.Addr = "127.0.0.1:1"
			w.extra = []string{"PGO_CFG_DEADLINE=1s"}
		}, 69, []string{"not there after 1s: MySQL at 127.0.0.1:1: connection refused"}},
		{"a wrong password", []string{"once"}, func(w *world) {
			w.servers.Redis.Password = "wrong"
			w.extra = []string{"PGO_CFG_DEADLINE=1s"}
		}, 69, []string{"Redis at ", "it refuses the account"}},
		{"a bad service name", []string{"check"}, func(w *world) { w.service.Name = "root" }, 78, []string{"services.root", "taken by a server's own accounts"}},
		{"a missing secret", []string{"check"}, func(w *world) { w.service.MySQLPassword = "" }, 78, []string{".mysql_password", "_FILE"}},
		{"an unknown key", []string{"check"}, func(w *world) { w.extra = []string{"PGO_CFG_MYSQL__HOST=x"} }, 78, []string{"mysql.host"}},
		{"a gateway that is no address", []string{"check"}, func(w *world) { w.extra = []string{"PGO_CFG_GATEWAY_URL=gateway"} }, 78, []string{"gateway_url"}},
		{"an unknown command", []string{"migrate"}, func(*world) {}, 64, []string{"unknown command migrate", "usage:"}},
		{"an unknown argument", []string{"once", "--now"}, func(*world) {}, 64, []string{"once takes no arguments"}},
		{"resolve without a word", []string{"resolve", "--service", "x", "--version", "1", "--statement", "1"}, func(*world) {}, 64, []string{"--done and --redo"}},
		{"resolve of an unknown service", []string{"resolve", "--service", "nobody", "--version", "1", "--statement", "1", "--redo"}, func(*world) {}, 64, []string{"nobody is not configured"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.do(w)
			_, code, err := w.run(tt.args...)
			if code != tt.code {
				t.Errorf("exit %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
		})
	}
}

func TestFailedMigrationIsContinued(t *testing.T) {
	w := newWorld(t)
	w.binary.Migrations("00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES ('x');")
	if _, code, _ := w.run("once"); code != 65 {
		t.Fatalf("exit %d", code)
	}
	w.binary.Migrations("00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2);")
	if _, code, err := w.run("once"); code != 0 {
		t.Fatalf("exit %d: %v", code, err)
	}
	if got := w.query("SELECT GROUP_CONCAT(id ORDER BY id) FROM a"); got != "1,2" {
		t.Errorf("rows %s", got)
	}
}

func TestTwoAtOnce(t *testing.T) {
	w := newWorld(t)
	w.binary.Migrations("00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a SELECT SLEEP(1);", "00002_b.sql", "INSERT INTO a VALUES (2);")
	var wg sync.WaitGroup
	outs := make([]string, 2)
	for i := range outs {
		environ := w.environ()
		wg.Go(func() {
			var out bytes.Buffer
			if err := run(t.Context(), []string{"once"}, environ, &out); err != nil {
				t.Error(err)
			}
			outs[i] = out.String()
		})
	}
	wg.Wait()
	if got := w.query("SELECT COUNT(*) FROM a"); got != "2" {
		t.Errorf("%s rows", got)
	}
	if strings.Count(outs[0]+outs[1], "applied 00002_b.sql") != 1 {
		t.Errorf("not applied once:\n%s\n%s", outs[0], outs[1])
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"version", "--json"}, nil, &out); err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || v["version"] == "" {
		t.Errorf("%s: %v", out.String(), err)
	}
}
