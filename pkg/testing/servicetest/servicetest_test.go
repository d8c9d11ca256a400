package servicetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"

	"pgo/pkg/auth"
	"pgo/pkg/event"
	"pgo/pkg/health"
	"pgo/pkg/httpx"
	"pgo/pkg/logging"
	"pgo/pkg/mq"
	"pgo/pkg/problem"
	"pgo/pkg/serve"
	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// run is a service as small as one can be: it answers with the caller.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	if slices.Equal(args, []string{"hello"}) {
		fmt.Fprintln(stdout, "hello from", len(environ))
		return 0
	}
	if err := runService(ctx, environ, stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func runService(ctx context.Context, environ []string, stdout io.Writer) error {
	user := ""
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, "PGO_CFG_AUTH__USER_URL="); ok {
			user = v
		}
	}
	log, err := logging.New(stdout, logging.Config{Level: "info"}, logging.Identity{Service: "demo"})
	if err != nil {
		return err
	}
	cfg, reg := serve.Defaults(), prometheus.NewRegistry()
	cfg.Addr, cfg.DrainTimeout = "127.0.0.1:0", time.Second
	verifier, ended, err := auth.NewRemoteVerifier(ctx, auth.Config{Issuer: "pgo", Audience: "pgo", IssuerURL: user}, reg, log.Logger)
	if err != nil {
		return err
	}
	h := health.New(log.Logger)
	h.Require("ended_sessions", ended.HasSynced)
	h.Optional("ended_sessions", ended.IsFresh)
	e, err := httpx.NewEngine(httpx.Options{Config: cfg.Config, Log: log.Logger, Tracer: noop.NewTracerProvider(), Registry: reg, Health: h})
	if err != nil {
		return err
	}
	e.GET("/me", auth.RequireToken(verifier), func(c *gin.Context) {
		c.JSON(http.StatusOK, map[string]string{"id": auth.PrincipalFrom(c).UserID, "role": auth.PrincipalFrom(c).Role})
	})
	e.POST("/check", httpx.Handle(func(*gin.Context) error {
		return problem.Invalid(problem.Field{Field: "x", Code: "required", Message: "must be given"})
	}))
	return serve.Program{
		Config: cfg, Log: log.Logger, Health: h, Public: e, Admin: http.NotFoundHandler(), Workers: []serve.Worker{{Name: "ended sessions", Run: ended.Run}},
	}.Run(ctx)
}

func newWorld(t *testing.T) *servicetest.Env {
	return servicetest.NewEnv(t, servicetest.Service{
		Name: "demo", Run: run, ConfigDir: "../../../configs", Topology: mq.Topology{Queues: []mq.Queue{{Name: "demo.q", Bindings: []string{"a.b"}}}},
		Migrations: fstest.MapFS{"00001_things.sql": {Data: []byte("-- min_code_schema: 1\n-- +goose Up\nCREATE TABLE things (id INT PRIMARY KEY);\n")}},
	})
}

func TestStartCallAndStopAService(t *testing.T) {
	w := newWorld(t)
	iss := servicetest.NewIssuer(t)
	w.Environ = append(w.Environ, iss.Environ()...)
	s := w.Start(t)
	me := servicetest.Request{Method: "GET", Path: "/me", Token: iss.NewToken("u1", "admin")}
	if res := s.Expect(t, me, 200, ""); res.Text("id") != "u1" || res.Text("role") != "admin" {
		t.Errorf("the token's caller is %s", res.Body)
	}
	s.Expect(t, servicetest.Request{Method: "GET", Path: "/me"}, 401, "unauthenticated")
	s.Expect(t, servicetest.Request{Method: "POST", Path: "/check", Body: "{}"}, 422, "validation_failed")
	iss.RotateKey()
	rotated := servicetest.Request{Method: "GET", Path: "/me", Token: iss.NewToken("u2", "user")}
	testkit.Eventually(t, "a token of the new key", func() error {
		if res := s.Do(t, rotated); res.Status != 200 {
			return errors.New(res.Code())
		}
		return nil
	})
	iss.EndSession(me.Token)
	testkit.Eventually(t, "the end of the session", func() error {
		if res := s.Do(t, me); res.Status != 401 {
			return fmt.Errorf("%d", res.Status)
		}
		return nil
	})
	iss.Link.Cut()
	s.AwaitReadiness(t, 200, "ended_sessions")
	if got := servicetest.CountStatuses(s.Parallel(t, rotated, me, rotated)); got[200] != 2 || got[401] != 1 {
		t.Errorf("with the issuer down the statuses are %v", got)
	}
	iss.Link.Restore()
	s.AwaitReadiness(t, 200, "")
	if code := s.Stop(); code != 0 || s.Stop() != 0 || len(s.Logs.LinesWith(`"stopped"`)) != 1 {
		t.Errorf("stopped with %d", code)
	}
	if code, stdout, stderr := w.RunCommand(t, "hello"); code != 0 || stdout != fmt.Sprintf("hello from %d\n", len(w.Environ)) || stderr != "" {
		t.Errorf("the command ends with %d: %s%s", code, stdout, stderr)
	}
}

func TestRecordEvents(t *testing.T) {
	w := newWorld(t)
	some, all := w.RecordEvents(t, "a.*"), w.RecordEvents(t, "#")
	first := w.Publish(t, "demo", "a.b", "s1", 1, map[string]string{"x": "y"})
	w.Publish(t, "demo", "c.d", "s1", 2, 7)
	w.Deliver(t, first)
	last := w.Publish(t, "demo", "a.b", "s2", 1, 8)
	for name, r := range map[string]*servicetest.Recorder{"some": some, "all": all} {
		got := r.Await(t, func(e event.Event) bool { return e.Subject == "s2" })
		if got.ID != last.ID || string(got.Data) != "8" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if events, again := all.EventsAbout("s1"); !slices.Equal(servicetest.EventTypes(events), []string{"a.b", "c.d"}) || again != 1 {
		t.Errorf("recorded %v, %d again", servicetest.EventTypes(events), again)
	}
	if got := servicetest.EventTypes(some.All()); !slices.Equal(got, []string{"a.b", "a.b", "a.b"}) {
		t.Errorf("of some topics: %v", got)
	}
}

func TestDeadLetter(t *testing.T) {
	w := newWorld(t)
	e, err := event.New(t.Context(), "demo", "a.b", "s1", 1, 7)
	if err != nil {
		t.Fatal(err)
	}
	w.DeadLetter(t, "demo.q", "broken", e)
	cfg := mq.Config{Addr: w.Broker.Addr, Vhost: w.Broker.Vhost, Username: w.Broker.Username, Password: w.Broker.Password}
	if letters, err := mq.ListDeadLetters(t.Context(), cfg, "demo.q"); err != nil || len(letters) != 1 || letters[0].ID != e.ID || letters[0].Reason != "broken" {
		t.Errorf("the dead letters are %+v, %v", letters, err)
	}
}

func TestDumpRowsAndKillConnections(t *testing.T) {
	w := newWorld(t)
	db := w.DB.Open(t)
	dump := func() string { return servicetest.DumpRows(t, db, "SELECT * FROM things ORDER BY id") }
	before := dump()
	if _, err := db.Exec("INSERT INTO things VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	if got := servicetest.DiffLines(before, dump()); got != "+[\"7\"]\n" {
		t.Errorf("the difference is %q", got)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w.KillConnections(t)
	if err := conn.PingContext(t.Context()); err == nil {
		t.Error("a connection has outlived it")
	}
}
