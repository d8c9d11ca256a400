package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"

	"pgo/pkg/command"
	"pgo/pkg/config"
	"pgo/pkg/mq"
	"pgo/pkg/service"
	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

var migrations = fstest.MapFS{"00001_things.sql": {Data: []byte(
	"-- min_code_schema: 1\n-- +goose Up\nCREATE TABLE things (id INT PRIMARY KEY);\n")}}

// demoConfig is the configuration of a service with one section of its own.
type demoConfig struct {
	service.Config `config:",squash"`

	Demo demoSection `config:"demo"`
}

type demoSection struct {
	Greeting string `config:"greeting"`
}

func (cfg *demoConfig) Validate(c *config.Check) {
	cfg.Config.Validate(c)
	c.Expect(cfg.Demo.Greeting != "", "demo.greeting", "a greeting")
}

func load(environ []string) (demoConfig, error) {
	return config.Load(demoConfig{Config: service.Defaults("demo", "127.0.0.1:0"), Demo: demoSection{Greeting: "hello"}}, config.OptionsFromEnviron("demo", environ))
}

// run is the main of the demo service.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	root := command.New(command.Service{
		Name: "demo", Short: "A service", Migrations: migrations, OpenAPI: []byte(`{"swagger":"2.0"}`),
		Check: func() error { _, err := load(environ); return err },
		Serve: func(ctx context.Context) error { return runService(ctx, environ, stdout) },
	})
	return command.Run(ctx, root, args, stdout, stderr)
}

func runService(ctx context.Context, environ []string, stdout io.Writer) (err error) {
	cfg, err := load(environ)
	if err != nil {
		return err
	}
	rt, err := service.Open(ctx, service.Options{Name: "demo", Config: cfg.Config, Migrations: migrations, Environ: environ, Stdout: stdout})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	current := service.NewReloadable(rt, cfg, func() (demoConfig, error) { return load(environ) })
	engine, err := rt.NewEngine([]byte(`{"swagger":"2.0"}`))
	if err != nil {
		return err
	}
	engine.GET("/greeting", func(c *gin.Context) {
		c.JSON(http.StatusOK, map[string]string{"greeting": current.Current().Demo.Greeting})
	})
	engine.GET("/things", func(c *gin.Context) {
		var count int64
		if err := rt.DB.WithContext(c).Table("things").Count(&count).Error; err != nil {
			c.Status(http.StatusInternalServerError)
			return
		}
		c.JSON(http.StatusOK, map[string]int64{"count": count})
	})
	return service.Run(ctx, rt, current, engine)
}

func demo(t testing.TB) servicetest.Service {
	s := servicetest.Service{
		Name: "demo", Run: run, ConfigDir: "../../configs", Migrations: migrations,
		Topology: mq.Topology{Queues: []mq.Queue{{Name: "demo.q", Bindings: []string{"a.b"}}}},
	}
	s.ConfigDir = s.CopyConfigs(t, "log:\n  level: info\n")
	return s
}

func newEnv(t *testing.T) *servicetest.Env {
	t.Helper()
	env := servicetest.NewEnv(t, demo(t))
	for _, table := range []string{
		"CREATE TABLE pgo_outbox (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, event_id VARCHAR(64) NOT NULL, type VARCHAR(255) NOT NULL," +
			" subject VARCHAR(255) NOT NULL, envelope MEDIUMTEXT NOT NULL, created_at DATETIME(6) NOT NULL, published_at DATETIME(6) NULL, KEY pgo_outbox_pending (published_at, id))",
	} {
		if _, err := env.DB.Open(t).Exec(table); err != nil {
			t.Fatal(err)
		}
	}
	return env
}

func TestServiceRunsOnItsServers(t *testing.T) {
	env := newEnv(t)
	s := env.Start(t, "PGO_CFG_DEMO__GREETING=good morning", "PGO_INSTANCE=demo-7")
	s.AwaitReadiness(t, 200, "")
	if res := s.Expect(t, servicetest.Request{Method: "GET", Path: "/greeting"}, 200, ""); res.Text("greeting") != "good morning" {
		t.Errorf("the service's own section is not read: %s", res.Body)
	}
	s.Expect(t, servicetest.Request{Method: "GET", Path: "/things"}, 200, "")
	if lines := s.Logs.LinesWith(`"service":"demo","instance":"demo-7"`); len(lines) == 0 {
		t.Error("the log does not name the service and its instance")
	}
	if code := s.Stop(); code != 0 {
		t.Errorf("stopped with %d, want 0", code)
	}
}

func TestOptionalServersDegradeAndTheDatabaseIsRequired(t *testing.T) {
	env := newEnv(t)
	s := env.Start(t)
	s.AwaitReadiness(t, 200, "")
	env.RedisLink.Cut()
	env.BrokerLink.Cut()
	s.AwaitReadiness(t, 200, "redis")
	s.AwaitReadiness(t, 200, "rabbitmq")
	if _, failing, degraded := s.ReadReadiness(t); len(failing) > 0 || !slices.Equal(degraded, []string{"redis", "rabbitmq"}) {
		t.Errorf("failing %v, degraded %v; want redis and rabbitmq degraded in this order", failing, degraded)
	}
	env.RedisLink.Restore()
	env.BrokerLink.Restore()
	s.AwaitReadiness(t, 200, "")
	env.MySQLLink.Cut()
	s.AwaitReadiness(t, 503, "mysql")
	env.MySQLLink.Restore()
	s.AwaitReadiness(t, 200, "")
}

func TestLogLevelFollowsTheConfiguration(t *testing.T) {
	newEnv(t).AssertLogLevelReload(t, servicetest.Request{Method: "GET", Path: "/greeting"})
}

func TestInvalidConfigurationEndsWith78(t *testing.T) {
	s := demo(t)
	for key, want := range map[string]string{
		"PGO_CFG_HTTP__ADDR":                        "http.addr: expected an address",
		"PGO_CFG_HTTP__MAX_BODY":                    "http.max_body: expected",
		"PGO_CFG_TRACING__RATIO":                    "tracing.ratio: expected",
		"PGO_CFG_DEMO__GREETING":                    "demo.greeting: expected a greeting",
		"PGO_CFG_HTTP__SQUASH":                      "expected a known key, one of addr, admin_addr, drain_timeout, trusted_proxies, request_timeout, max_body",
		"PGO_CFG_CONFIG__LOG__LEVEL":                "expected a known key, one of log, http, mysql, redis, rabbitmq, tracing, demo",
		"PGO_CFG_HTTP__CONFIG__MAX_BODY":            "expected a known key, one of addr",
		"PGO_CFG_HTTP__TRUSTED_PROXIES":             "http.trusted_proxies: expected",
		"PGO_CFG_RABBITMQ__VHOST":                   "rabbitmq.vhost: expected",
		"PGO_CFG_REDIS__PREFIX":                     "redis.prefix: expected",
		"PGO_CFG_MYSQL__DATABASE":                   "mysql.database: expected",
		"PGO_CFG_LOG__LEVEL":                        "log.level: expected",
		"PGO_CFG_HTTP__DRAIN_TIMEOUT":               "http.drain_timeout: expected",
		"PGO_CFG_HTTP__REQUEST_TIMEOUT":             "http.request_timeout: expected",
		"PGO_CFG_HTTP__ADMIN_ADDR":                  "http.admin_addr: expected",
		"PGO_CFG_MYSQL__PASSWORD":                   "mysql.password: expected a secret",
		"PGO_CFG_TRACING__RATIO_":                   "expected a known key, one of endpoint, ratio",
		"PGO_CFG_TRACING__ENDPOINT__DEEPER_THAN_IT": "expected a known key",
	} {
		value := map[string]string{"PGO_CFG_TRACING__RATIO": "7", "PGO_CFG_HTTP__MAX_BODY": "0", "PGO_CFG_HTTP__DRAIN_TIMEOUT": "0s", "PGO_CFG_HTTP__REQUEST_TIMEOUT": "0s", "PGO_CFG_HTTP__TRUSTED_PROXIES": "gateway"}[key]
		code, stdout, stderr := s.RunCommand(t.Context(), s.OfflineEnviron(map[string]string{key: value}), "check")
		if code != 78 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: ends with %d, %q; want 78 and %q", key, code, stderr, want)
		}
	}
}

func TestServiceWaitsForItsServersAndEndsWhenAsked(t *testing.T) {
	s := demo(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if code, stdout, stderr := s.RunCommand(ctx, s.OfflineEnviron()); code != 0 || stderr != "" || strings.Contains(stdout, `"msg":"ready"`) {
		t.Errorf("ends with %d: %s%s", code, stdout, stderr)
	}
}

func TestSettingsAreShownFlatAndMasked(t *testing.T) {
	cfg, err := load(demo(t).OfflineEnviron())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var shown map[string]any
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	http, _ := shown["HTTP"].(map[string]any)
	if shown["Demo"] == nil || http["Addr"] == nil || http["MaxBody"] == nil || strings.Contains(string(text), "hunter2") {
		t.Errorf("the configuration is shown as %s", text)
	}
}

func openDemo(t testing.TB, environ []string, migrations fstest.MapFS) (*service.Runtime, error) {
	t.Helper()
	cfg, err := load(environ)
	if err != nil {
		t.Fatal(err)
	}
	return service.Open(t.Context(), service.Options{Name: "demo", Config: cfg.Config, Migrations: migrations, Environ: environ, Stdout: io.Discard})
}

func TestCloseClosesEveryPart(t *testing.T) {
	env := newEnv(t)
	rt, err := openDemo(t, env.Environ, migrations)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "connect to every server", func() error {
		return errors.Join(rt.Pool.PingContext(t.Context()), rt.Redis.Ping(t.Context()).Err(), rt.Broker.Check(t.Context()))
	})
	if err := rt.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"database": rt.Pool.PingContext(t.Context()), "Redis": rt.Redis.Ping(t.Context()).Err(), "broker": rt.Broker.Check(t.Context()),
	} {
		if err == nil {
			t.Errorf("the %s is open after Close", name)
		}
	}
	if err := rt.Close(); err != nil {
		t.Errorf("a second Close returned %v", err)
	}
}

func TestOpenNamesWhatItOpened(t *testing.T) {
	environ := demo(t).OfflineEnviron()
	broken := fstest.MapFS{"nonsense.sql": {Data: []byte("x")}}
	if _, err := openDemo(t, environ, broken); err == nil || !strings.HasPrefix(err.Error(), "read migrations: ") {
		t.Errorf("broken migrations: %v", err)
	}
	environ = append(environ, "PGO_CFG_TRACING__ENDPOINT=://nowhere")
	if _, err := openDemo(t, environ, migrations); err == nil || !strings.HasPrefix(err.Error(), "open the tracer: ") {
		t.Errorf("a broken trace endpoint: %v", err)
	}
}
