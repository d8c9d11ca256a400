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

// testEnv is a bootcheck with one service, on real servers.
type testEnv struct {
	t            *testing.T
	servers      server.Servers
	service      account.Service
	binary       *fixture.Binary
	addr         string // bootcheck's own address
	extraEnviron []string
}

func newTestEnv(t *testing.T) *testEnv {
	t.Helper()
	servers := fixture.Servers(t)
	return &testEnv{t: t, servers: servers, service: fixture.NewService(t, servers), binary: fixture.NewBinary(t), addr: testkit.ReserveAddr(t)}
}

func (e *testEnv) environ() []string {
	dir := e.t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "env"), 0o755); err != nil {
		e.t.Fatal(err)
	}
	for name, text := range map[string]string{
		"base.yaml": "", "env/test.yaml": "",
		"bootcheck.yaml": fmt.Sprintf("services:\n  %s:\n    binary: %s\n", e.service.Name, e.binary.Path),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			e.t.Fatal(err)
		}
	}
	s, svc := e.servers, "PGO_CFG_SERVICES__"+strings.ToUpper(e.service.Name)+"__"
	return append([]string{
		"PGO_CONFIG_DIR=" + dir, "PGO_ENV=test", "PGO_CFG_HTTP__ADDR=" + e.addr, "PGO_CFG_GATEWAY_URL=http://gateway.test:8080",
		"PGO_CFG_MYSQL__ADDR=" + s.MySQL.Addr, "PGO_CFG_MYSQL__USERNAME=" + s.MySQL.Username, "PGO_CFG_MYSQL__PASSWORD=" + s.MySQL.Password,
		"PGO_CFG_REDIS__ADDR=" + s.Redis.Addr, "PGO_CFG_REDIS__USERNAME=" + s.Redis.Username, "PGO_CFG_REDIS__PASSWORD=" + s.Redis.Password,
		"PGO_CFG_RABBITMQ__ADDR=" + s.RabbitMQ.Addr, "PGO_CFG_RABBITMQ__API=" + s.RabbitMQ.API, "PGO_CFG_RABBITMQ__VHOST=" + s.RabbitMQ.Vhost,
		"PGO_CFG_RABBITMQ__USERNAME=" + s.RabbitMQ.Username, "PGO_CFG_RABBITMQ__PASSWORD=" + s.RabbitMQ.Password,
		svc + "MYSQL_PASSWORD=" + e.service.MySQLPassword, svc + "REDIS_PASSWORD=" + e.service.RedisPassword, svc + "RABBITMQ_PASSWORD=" + e.service.RabbitMQPassword,
	}, e.extraEnviron...)
}

// runCommand runs a command until it ends.
func (e *testEnv) runCommand(args ...string) (output string, code int, err error) {
	var out bytes.Buffer
	err = run(e.t.Context(), args, e.environ(), &out)
	return out.String(), exitCode(err), err
}

// startServing runs bootcheck until the test ends or stop is called. stop returns bootcheck's error.
func (e *testEnv) startServing() (stop func() error, log *syncBuffer) {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log = &syncBuffer{}
	ended := make(chan error, 1)
	environ := e.environ()
	go func() { ended <- run(ctx, nil, environ, log) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
	e.t.Cleanup(func() { _ = stop() })
	return stop, log
}

// syncBuffer is a bytes.Buffer that is safe for concurrent use.
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

type response struct {
	status int
	header http.Header
	body   string
}

func (e *testEnv) tryGet(path string, headers ...string) (response, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+e.addr+path, nil)
	if err != nil {
		return response{}, err
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
		return response{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, string(text)}, err
}

func (e *testEnv) fetch(path string, headers ...string) response {
	e.t.Helper()
	a, err := e.tryGet(path, headers...)
	if err != nil {
		e.t.Fatal(err)
	}
	return a
}

func (e *testEnv) awaitReady() {
	e.t.Helper()
	testkit.Eventually(e.t, "bootcheck is ready", func() error {
		a, err := e.tryGet("/readyz")
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
}

// queryValue reads one value from the service's database, with the service's account.
func (e *testEnv) queryValue(query string) string {
	e.t.Helper()
	db, err := server.OpenMySQL(server.Access{Addr: e.servers.MySQL.Addr, Username: e.service.Name, Password: e.service.MySQLPassword}, account.DatabaseName(e.service.Name))
	if err != nil {
		e.t.Fatal(err)
	}
	defer db.Close()
	var s string
	if err := db.QueryRowContext(e.t.Context(), query).Scan(&s); err != nil {
		e.t.Fatalf("%s: %v", query, err)
	}
	return s
}

func TestOnce(t *testing.T) {
	e := newTestEnv(t)
	e.binary.SetMigrations("00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a VALUES (7);")
	e.binary.SetTopology(mq.Topology{Queues: []mq.Queue{{Name: e.service.Name + ".events", Bindings: []string{"x.*.v1"}}}})
	if out, _, err := e.runCommand("plan"); err != nil || !strings.Contains(out, "00001_a.sql") {
		t.Errorf("plan before: %s %v", out, err)
	}
	for range 2 {
		if out, code, err := e.runCommand("once"); code != 0 {
			t.Fatalf("exit %d: %v\n%s", code, err, out)
		}
	}
	if got := e.queryValue("SELECT GROUP_CONCAT(id) FROM a"); got != "7" {
		t.Errorf("rows %s", got)
	}
	r := e.servers.RabbitMQ
	if err := server.NewManagement(r).Do(t.Context(), http.MethodGet, nil, nil, "queues", r.Vhost, e.service.Name+".events"); err != nil {
		t.Error(err)
	}
	if out, _, err := e.runCommand("plan"); err != nil || strings.Contains(out, "00001_a.sql") {
		t.Errorf("plan after: %s %v", out, err)
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name string
		args []string
		do   func(*testEnv)
		code int
		want []string
	}{
		{"a statement that the server refuses", []string{"once"}, func(e *testEnv) {
			e.binary.SetMigrations("00001_a.sql", "CREATE TABLE a (id INT);\nALTER TABLE nowhere ADD COLUMN b INT;")
		}, 65, []string{"00001_a.sql:3: statement 2 (ALTER TABLE nowhere ADD COLUMN b INT;)", "nowhere' doesn't exist"}},
		{"a migration that cannot be read", []string{"once"}, func(e *testEnv) { e.binary.SetMigrations("00001_a.sql", "SELECT 1") }, 65, []string{"00001_a.sql:2: ", "does not end with ';'"}},
		{"a migration that needs its session", []string{"once"}, func(e *testEnv) {
			e.binary.SetMigrations("00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a VALUES (LAST_INSERT_ID());")
		}, 65, []string{"00001_a.sql:3: ", "LAST_INSERT_ID()", "StatementBegin"}},
		{"check of a migration that needs its session", []string{"check"}, func(e *testEnv) {
			e.binary.SetMigrations("00001_a.sql", "CREATE TEMPORARY TABLE a (id INT);")
		}, 65, []string{"00001_a.sql:2: ", "a temporary table"}},
		{"a verify query that is always true", []string{"once"}, func(e *testEnv) {
			e.binary.SetMigrations("00001_a.sql", "-- verify: SELECT 1\nCREATE TABLE a (id INT);")
		}, 65, []string{"returns a row before"}},
		{"a missing binary", []string{"once"}, func(e *testEnv) { e.binary.Path += "x" }, 69, []string{"servicex: ", "no such file"}},
		{"a broken binary", []string{"once"}, func(e *testEnv) { e.binary.WriteScript("exit 1") }, 69, []string{"`version --json` of ", "exit status 1"}},
		{"a hostile archive", []string{"once"}, func(e *testEnv) { e.binary.SetMigrations("../00001_a.sql", "SELECT 1;") }, 69, []string{"not at the top level"}},
		{"another owner's queue", []string{"once"}, func(e *testEnv) {
			e.binary.SetTopology(mq.Topology{Queues: []mq.Queue{{Name: "pgo.events", Bindings: []string{"x"}}}})
		}, 69, []string{"pgo.events"}},
		{"no MySQL in time", []string{"once"}, func(e *testEnv) {
			e.servers.MySQL.Addr = "127.0.0.1:1"
			e.extraEnviron = []string{"PGO_CFG_DEADLINE=1s"}
		}, 69, []string{"not available after 1s: MySQL at 127.0.0.1:1: connection refused"}},
		{"a wrong password", []string{"once"}, func(e *testEnv) {
			e.servers.Redis.Password = "wrong"
			e.extraEnviron = []string{"PGO_CFG_DEADLINE=1s"}
		}, 69, []string{"Redis at ", "it refuses the account"}},
		{"a bad service name", []string{"check"}, func(e *testEnv) { e.service.Name = "root" }, 78, []string{"services.root", "reserved for a server's own accounts"}},
		{"a missing secret", []string{"check"}, func(e *testEnv) { e.service.MySQLPassword = "" }, 78, []string{".mysql_password", "_FILE"}},
		{"an unknown key", []string{"check"}, func(e *testEnv) { e.extraEnviron = []string{"PGO_CFG_MYSQL__HOST=x"} }, 78, []string{"mysql.host"}},
		{"a gateway URL that is not an address", []string{"check"}, func(e *testEnv) { e.extraEnviron = []string{"PGO_CFG_GATEWAY_URL=gateway"} }, 78, []string{"gateway_url"}},
		{"an unknown command", []string{"migrate"}, func(*testEnv) {}, 64, []string{`unknown command "migrate"`, "bootcheck help"}},
		{"an unknown argument", []string{"once", "--now"}, func(*testEnv) {}, 64, []string{"unknown flag: --now", "bootcheck help"}},
		{"resolve without a decision", []string{"resolve", "--service", "x", "--version", "1", "--statement", "1"}, func(*testEnv) {}, 64, []string{"--done and --redo"}},
		{"resolve of an unknown service", []string{"resolve", "--service", "unknown", "--version", "1", "--statement", "1", "--redo"}, func(*testEnv) {}, 64, []string{"unknown is not configured"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newTestEnv(t)
			tt.do(e)
			_, code, err := e.runCommand(tt.args...)
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

func TestCheckSkipsMissingBinaries(t *testing.T) {
	e := newTestEnv(t)
	e.binary.Path += "x"
	if out, code, err := e.runCommand("check"); code != 0 || !strings.Contains(out, "migrations are not checked: ") || !strings.Contains(out, "the configuration is valid") {
		t.Errorf("exit %d: %v\n%s", code, err, out)
	}
}

func TestOnceContinuesAfterFailedMigration(t *testing.T) {
	e := newTestEnv(t)
	e.binary.SetMigrations("00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES ('x');")
	if _, code, _ := e.runCommand("once"); code != 65 {
		t.Fatalf("exit %d", code)
	}
	e.binary.SetMigrations("00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2);")
	if _, code, err := e.runCommand("once"); code != 0 {
		t.Fatalf("exit %d: %v", code, err)
	}
	if got := e.queryValue("SELECT GROUP_CONCAT(id ORDER BY id) FROM a"); got != "1,2" {
		t.Errorf("rows %s", got)
	}
}

func TestOnceWarnsOfHalfAppliedSchema(t *testing.T) {
	e := newTestEnv(t)
	first := []string{"00001_a.sql", "CREATE TABLE a (id INT, old INT);"}
	e.binary.SetMigrations(append(first, "00002_b.sql", "ALTER TABLE a DROP COLUMN old;\nINSERT INTO nowhere VALUES (1);")...)
	if _, code, _ := e.runCommand("once"); code != 65 {
		t.Fatalf("exit %d", code)
	}
	e.binary.SetMigrations(first...)
	out, code, err := e.runCommand("once")
	if code != 0 || !strings.Contains(out, `"level":"warn"`) || !strings.Contains(out, "migration 00002_b.sql of a newer program is half applied") {
		t.Errorf("exit %d: %v\n%s", code, err, out)
	}
}

func TestConcurrentRunsMigrateOnce(t *testing.T) {
	e := newTestEnv(t)
	e.binary.SetMigrations("00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a SELECT SLEEP(1);", "00002_b.sql", "INSERT INTO a VALUES (2);")
	var wg sync.WaitGroup
	outs := make([]string, 2)
	for i := range outs {
		environ := e.environ()
		wg.Go(func() {
			var out bytes.Buffer
			if err := run(t.Context(), []string{"once"}, environ, &out); err != nil {
				t.Error(err)
			}
			outs[i] = out.String()
		})
	}
	wg.Wait()
	if got := e.queryValue("SELECT COUNT(*) FROM a"); got != "2" {
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
