package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgo/pkg/testing/testkit"
)

// TestStack runs one stack through its life. The steps share it because bringing one up takes seconds.
func TestStack(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole stack, with a browser")
	}
	spans := newSpanStore(t)
	t.Setenv("PGO_TRACING_ENDPOINT", spans.URL)
	s := newStack(t)
	s.spans = spans
	for _, step := range []struct {
		name string
		run  func(*testing.T, *stack)
	}{
		{"journey through the gateway", func(t *testing.T, s *stack) {
			if err := s.journey(); err != nil {
				t.Error(err)
			}
		}},
		{"a school's way through the gateway", schoolJourney},
		{"what the gateway shows", gatewayShows},
		{"what is not installed is not a process", processesAreInstalled},
		{"the first admin can sign in", firstAdmin},
		{"the documented commands", documentedCommands},
		{"the start page in a browser", startPage},
		{"Swagger UI in a browser", swaggerUI},
		{"who may do what", access},
		{"races leave the databases consistent", runRaces},
		{"the demo", demo},
		{"the demo without a stack", demoWithoutStack},
		{"a logout is known everywhere", logoutIsKnown},
		{"up again is harmless", upAgain},
		{"a reload hides no service from who asks whether it is ready", readyDuringReload},
		{"each killed process comes back", killEach},
		{"each frozen service is replaced", replaceFrozen},
		{"a school's way while Redis is unavailable", schoolWithoutRedis},
		{"a school's way over restarts", schoolOverRestarts},
		{"each service goes on without the others", eachAlone},
		{"sign-in works without Redis and RabbitMQ, and mail goes out afterwards", withoutRedisAndRabbitMQ},
		{"services wait for MySQL behind bootcheck", lateMySQL},
		{"down and up keeps the data", downKeepsData},
		{"no secret is in a log, a metric or a trace", noSecretIsTold},
	} {
		t.Run(step.name, func(t *testing.T) {
			s.t = t
			step.run(t, s)
		})
		s.t = t
	}
}

// processesAreInstalled: the list has no process whose program this machine does not have.
func processesAreInstalled(t *testing.T, s *stack) {
	env, err := os.ReadFile(filepath.Join(s.home, "env"))
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range s.list() {
		key := strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_INSTALLED"
		if strings.Contains(string(env), "\n"+key+"=false\n") {
			t.Errorf("%s is not installed and in the list: %+v", name, p)
		}
	}
	if !strings.Contains(string(env), "_INSTALLED=") {
		t.Error("the env file does not tell what is installed")
	}
}

func gatewayShows(t *testing.T, s *stack) {
	for _, tc := range []struct {
		path    string
		status  int
		content string // of the body
	}{
		{"/", 200, "Swagger UI"},
		{"/swagger/", 200, "swagger-ui"},
		{"/swagger/init.js", 200, `{"url":"specs/school.json","name":"school"},{"url":"specs/task.json","name":"task"},{"url":"specs/user.json","name":"user"}`},
		{"/swagger/specs/user.json", 200, `"/auth/login"`},
		{"/swagger/specs/school.json", 200, `"/invites/{code}/accept"`},
		{"/swagger/specs/task.json", 200, `"/tasks/{id}/grades.csv"`},
		{"/.well-known/jwks.json", 200, `"Ed25519"`},
		{"/api/v1/.well-known/jwks.json", 200, `"Ed25519"`},
		{"/services/user/readyz", 200, `"ready"`},
		{"/services/school/readyz", 200, `"ready"`},
		{"/services/task/readyz", 200, `"ready"`},
		{"/services/bootcheck/status", 200, `"task"`},
		{"/api/v1/schools", 401, `"unauthenticated"`},
		{"/api/v1/tasks", 401, `"unauthenticated"`},
		{"/api/v1/nothing", 404, `"not_found"`},
		{"/nothing", 404, `"not_found"`},
		{"/metrics", 404, `"not_found"`},
		{"/debug/pprof/", 404, `"not_found"`},
		// What services tell one another.
		{"/internal/ended-sessions?since=2020-01-01T00:00:00Z", 404, `"not_found"`},
		{"/api/v1/internal/ended-sessions?since=2020-01-01T00:00:00Z", 404, `"not_found"`},
		{"/services/user/internal/ended-sessions?since=2020-01-01T00:00:00Z", 404, `"not_found"`},
		{"/api/v1/users/..%2f..%2f..%2finternal/ended-sessions?since=2020-01-01T00:00:00Z", 404, `"not_found"`},
	} {
		a := s.want(t, tc.status, "GET", tc.path, "", nil)
		if !strings.Contains(a.Body, tc.content) {
			t.Errorf("%s does not contain %s: %.300s", tc.path, tc.content, a.Body)
		}
	}
}

func firstAdmin(t *testing.T, s *stack) {
	login := s.want(t, 200, "POST", "/api/v1/auth/login", "", map[string]string{"email": "admin@pgo.local", "password": s.secret("admin_password")})
	s.want(t, 200, "GET", "/api/v1/users?limit=1", login.text("access_token"), nil)
}

func upAgain(t *testing.T, s *stack) {
	before := s.list()
	out := s.up()
	for _, want := range []string{s.url(""), "admin@pgo.local", "\nuser ", "\nschool ", "\ntask "} {
		if !strings.Contains(out, want) {
			t.Errorf("up's table has no %q: %s", want, out)
		}
	}
	for name, p := range s.list() {
		if p.PID != before[name].PID {
			t.Errorf("%s was restarted", name)
		}
	}
}

func killEach(t *testing.T, s *stack) {
	for name, p := range s.list() {
		t.Run(name, func(t *testing.T) {
			s.t = t
			if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			s.ready(name, p.PID)
			testkit.Eventually(t, "the calls pass again", s.journey)
			s.mailArrives(t)
		})
	}
}

// mailArrives checks the way over outbox, RabbitMQ and consumer with a new account's mail.
func (s *stack) mailArrives(t *testing.T) {
	t.Helper()
	email := newEmail()
	s.want(t, 201, "POST", "/api/v1/auth/register", "", map[string]string{"email": email, "password": password, "name": "Mail"})
	testkit.Eventually(t, "the mail of a new account", func() error { return s.mailed(email) })
}

// mailed returns nil when exactly one mail was written to the address.
func (s *stack) mailed(email string) error {
	files, err := filepath.Glob(filepath.Join(s.home, "mail", "*.eml"))
	if err != nil {
		return err
	}
	n := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), email) {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("%d mails", n)
	}
	return nil
}

func withoutRedisAndRabbitMQ(t *testing.T, s *stack) {
	s.must("pgo", "stop", "redis", "rabbitmq")
	for range 3 {
		if err := s.journey(); err != nil {
			t.Fatal(err)
		}
	}
	email := newEmail()
	s.want(t, 201, "POST", "/api/v1/auth/register", "", map[string]string{"email": email, "password": password, "name": "Later"})
	ready := s.want(t, 200, "GET", "/services/user/readyz", "", nil)
	if !strings.Contains(ready.Body, "redis") || !strings.Contains(ready.Body, "rabbitmq") {
		t.Errorf("readyz hides what is unavailable: %s", ready.Body)
	}
	if err := s.mailed(email); err == nil {
		t.Error("a mail came without the broker")
	}
	s.must("pgo", "start", "redis", "rabbitmq")
	testkit.Eventually(t, "the mail that waited", func() error { return s.mailed(email) })
	if err := s.journey(); err != nil {
		t.Error(err)
	}
}

func lateMySQL(t *testing.T, s *stack) {
	s.must("pgo", "stop", "user", "bootcheck", "mysql")
	log := filepath.Join(s.home, "logs", "bootcheck.log")
	waits := func() int {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "waiting for MySQL")
	}
	before := waits()
	started := make(chan error, 1)
	go func() {
		_, err := s.command("pgo", "start", "bootcheck", "user")
		started <- err
	}()
	testkit.Eventually(t, "bootcheck says that it waits", func() error {
		if waits() < before+2 {
			return fmt.Errorf("%d lines", waits()-before)
		}
		return nil
	})
	l := s.list()
	if l["user"].PID != 0 || l["user"].Status != "waiting" {
		t.Errorf("user does not wait: %+v", l["user"])
	}
	s.must("pgo", "start", "mysql")
	if err := <-started; err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, "the calls pass", s.journey)
	for _, name := range []string{"bootcheck", "user"} {
		if p := s.list()[name]; p.Restarts > l[name].Restarts {
			t.Errorf("%s was restarted %d times while it waited", name, p.Restarts-l[name].Restarts)
		}
	}
}

func downKeepsData(t *testing.T, s *stack) {
	email := newEmail()
	s.want(t, 201, "POST", "/api/v1/auth/register", "", map[string]string{"email": email, "password": password, "name": "Stays"})
	s.down()
	s.up()
	s.want(t, 200, "POST", "/api/v1/auth/login", "", map[string]string{"email": email, "password": password})
}
