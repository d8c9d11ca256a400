package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgo/pkg/mq"
	"pgo/services/user/events"
	"pgo/services/user/migrations"
	"pgo/services/user/openapi"
)

// program runs the program with an environment and returns its exit code and what it wrote.
func program(ctx context.Context, environ []string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(ctx, args, environ, &out, &err)
	return code, out.String(), err.String()
}

// serverless is an environment of a good configuration whose servers need not be there.
func serverless(t testing.TB, change map[string]string) []string {
	t.Helper()
	environ := map[string]string{
		"PGO_CONFIG_DIR": "../../../../configs", "PGO_ENV": "test", "PGO_CFG_HTTP__ADDR": "127.0.0.1:0", "PGO_CFG_MYSQL__ADDR": "127.0.0.1:1",
		"PGO_CFG_MYSQL__PASSWORD": "mysql-hunter2", "PGO_CFG_REDIS__PASSWORD": "redis-hunter2", "PGO_CFG_RABBITMQ__PASSWORD": "rabbitmq-hunter2",
		"PGO_CFG_AUTH__SIGNING_KEY": signingKey(t), "PGO_CFG_MAIL__DIR": t.TempDir(),
	}
	maps.Copy(environ, change)
	var all []string
	for k, v := range environ {
		if v != absent {
			all = append(all, k+"="+v)
		}
	}
	return all
}

const absent = "absent"

func TestABadConfigurationStopsTheProgram(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	otherKey := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for _, tc := range []struct {
		name    string
		environ map[string]string
		file    string // the text of user.yaml, "" for the real one
		want    string
	}{
		{name: "unknown variable", environ: map[string]string{"PGO_CFG_NONSENSE": "1"}, want: "environment PGO_CFG_NONSENSE: nonsense: expected a known key"},
		{name: "unknown key of a section", environ: map[string]string{"PGO_CFG_LOGIN__NONSENSE": "1"}, want: "login.nonsense: expected a known key"},
		{name: "wrong type", environ: map[string]string{"PGO_CFG_MYSQL__MAX_OPEN": "many"}, want: "mysql.max_open: expected a whole number"},
		{name: "wrong duration", environ: map[string]string{"PGO_CFG_LOGIN__WINDOW": "15"}, want: "login.window: expected a duration"},
		{name: "missing secret", environ: map[string]string{"PGO_CFG_MYSQL__PASSWORD": absent}, want: "mysql.password: expected a secret: set PGO_CFG_MYSQL__PASSWORD"},
		{name: "missing signing key", environ: map[string]string{"PGO_CFG_AUTH__SIGNING_KEY": absent}, want: "auth.signing_key: expected a secret"},
		{name: "secret's file missing", environ: map[string]string{"PGO_CFG_MYSQL__PASSWORD_FILE": "/nonexistent"}, want: "mysql.password: expected a readable file"},
		{name: "signing key is no PEM", environ: map[string]string{"PGO_CFG_AUTH__SIGNING_KEY": "hunter2-hunter2-hunter2"}, want: "auth.signing_key: expected one or more Ed25519 keys"},
		{name: "signing key of another kind", environ: map[string]string{"PGO_CFG_AUTH__SIGNING_KEY": otherKey}, want: "auth.signing_key: expected one or more Ed25519 keys"},
		{name: "short secret in production", environ: map[string]string{"PGO_ENV": "prod"}, want: "expected a secret of at least 16 bytes"},
		{name: "example secret in production", environ: map[string]string{"PGO_ENV": "prod", "PGO_CFG_MYSQL__PASSWORD": "changeme-changeme-changeme"}, want: "mysql.password: expected a secret that is not an example"},
		{name: "access tokens that live too long", environ: map[string]string{"PGO_CFG_AUTH__ACCESS_TTL": "2h"}, want: "auth.access_ttl: expected a duration from 1s to 1h"},
		{name: "sessions shorter than tokens", environ: map[string]string{"PGO_CFG_AUTH__REFRESH_TTL": "1m"}, want: "auth.refresh_ttl: expected a duration longer"},
		{name: "no attempt allowed", environ: map[string]string{"PGO_CFG_LOGIN__PAIR": "0"}, want: "login.pair: expected a number above 0"},
		{name: "negative window", environ: map[string]string{"PGO_CFG_LOGIN__WINDOW": "-1s"}, want: "login.window: expected a duration"},
		{name: "log level", environ: map[string]string{"PGO_CFG_LOG__LEVEL": "loud"}, want: "log.level: expected"},
		{name: "sender", environ: map[string]string{"PGO_CFG_MAIL__FROM": "not an address"}, want: "mail.from: expected an e-mail address"},
		{name: "base of links", environ: map[string]string{"PGO_CFG_MAIL__BASE_URL": "example.org"}, want: "mail.base_url: expected a URL"},
		{name: "unknown environment", environ: map[string]string{"PGO_ENV": "nonsense"}, want: "PGO_ENV: expected one of dev, test, staging, prod"},
		{name: "no folder", environ: map[string]string{"PGO_CONFIG_DIR": "/nonexistent"}, want: "/nonexistent/base.yaml: expected a readable file"},
		{name: "unknown key in a file", file: "login:\n  pair: 3\n  pear: 4\n", want: "user.yaml:3: login.pear: expected a known key"},
		{name: "wrong type in a file", file: "login:\n  pair: three\n", want: "user.yaml:2: login.pair: expected a whole number"},
		{name: "bad value in a file", file: "login:\n  pair: -3\n", want: "user.yaml:2: login.pair: expected a number above 0"},
		{name: "secret in a file", file: "mysql:\n  password: hunter2\n", want: "user.yaml:2: mysql.password: expected no secret in a file"},
		{name: "not YAML", file: "login: [\n", want: "user.yaml:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			change := map[string]string{}
			maps.Copy(change, tc.environ)
			if tc.file != "" {
				change["PGO_CONFIG_DIR"] = configs(t, tc.file)
			}
			environ := serverless(t, change)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // else a program that serves never ends
			defer cancel()
			for _, args := range [][]string{{"check"}, nil, {"admin", "create", "--email", "a@example.org"}} {
				code, stdout, stderr := program(ctx, environ, args...)
				if code != 78 || stdout != "" {
					t.Errorf("%v ends with %d and writes %s", args, code, stdout)
				}
				if !strings.HasPrefix(stderr, "user: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tc.want) || strings.Contains(stderr, "hunter2") {
					t.Errorf("%v says %q, want one line with %q and no secret", args, stderr, tc.want)
				}
			}
		})
	}
}

// configs returns a copy of the configuration folder with another user.yaml.
func configs(t testing.TB, userYAML string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../../../configs")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "user.yaml"), []byte(userYAML), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWhatTheProgramTellsWithoutAnyServer(t *testing.T) {
	tell := func(t *testing.T, args ...string) string {
		t.Helper()
		code, stdout, stderr := program(t.Context(), nil, args...)
		if code != 0 || stderr != "" {
			t.Fatalf("%v ends with %d: %s", args, code, stderr)
		}
		return stdout
	}
	t.Run("version", func(t *testing.T) {
		var v map[string]any
		if err := json.Unmarshal([]byte(tell(t, "version", "--json")), &v); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"version", "commit", "go", "os", "arch", "schema_version"} {
			if v[field] == nil || v[field] == "" {
				t.Errorf("lacks %s: %v", field, v)
			}
		}
		if v["schema_version"] != 2.0 {
			t.Errorf("schema version is %v", v["schema_version"])
		}
		if text := tell(t, "version"); strings.Count(text, "\n") != 1 {
			t.Errorf("for people: %q", text)
		}
	})
	t.Run("migrations", func(t *testing.T) {
		r := tar.NewReader(strings.NewReader(tell(t, "migrations")))
		var names []string
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			names = append(names, h.Name)
			got, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if want, err := fs.ReadFile(migrations.FS, h.Name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s differs, %v", h.Name, err)
			}
		}
		if want, err := fs.Glob(migrations.FS, "*.sql"); err != nil || !slices.Equal(names, want) {
			t.Errorf("files are %v, want %v, %v", names, want, err)
		}
	})
	t.Run("topology", func(t *testing.T) {
		var got mq.Topology
		if err := json.Unmarshal([]byte(tell(t, "topology")), &got); err != nil || len(got.Queues) != 1 || got.Queues[0].Name != events.MailQueue {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("openapi", func(t *testing.T) {
		if tell(t, "openapi") != string(openapi.JSON) {
			t.Error("not the specification")
		}
	})
	t.Run("check", func(t *testing.T) {
		code, stdout, stderr := program(t.Context(), serverless(t, nil), "check")
		if code != 0 || stdout != "configuration is valid\n" || stderr != "" {
			t.Errorf("ends with %d: %s%s", code, stdout, stderr)
		}
	})
}

func TestAWrongCommandLine(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"}, {"--nonsense"}, {"version", "nonsense"}, {"version", "--nonsense"}, {"check", "x"}, {"admin"}, {"admin", "nonsense"}, {"admin", "create"},
		{"admin", "create", "x"}, {"admin", "create", "--email"}, {"admin", "create", "--nonsense"}, {"admin", "password"}, {"admin", "password", "x"}, {"serve"}, {"events"}, {"events", "dead"}, {"events", "dead", "drop"},
	} {
		code, stdout, stderr := program(t.Context(), nil, args...)
		if code != 64 || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v ends with %d and writes %q, %q; want 64 and one line", args, code, stdout, stderr)
		}
	}
}

func TestAdminCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file(password + "\r\n")
	for _, tc := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"with a password", []string{"--email", "Root@Example.org", "--password-file", good}, 0, "made admin Root@Example.org\n"},
		{"again", []string{"--email", "root@example.org", "--password-file", good}, 1, "email_taken"},
		{"again if missing", []string{"--email", "root@example.org", "--password-file", good, "--if-missing"}, 0, "root@example.org is there already\n"},
		{"short password", []string{"--email", "a@example.org", "--password-file", file("short")}, 1, "[password: invalid_length]"},
		{"common password", []string{"--email", "a@example.org", "--password-file", file("password1234")}, 1, "[password: common_password]"},
		{"empty password", []string{"--email", "a@example.org", "--password-file", file("")}, 1, "[password: invalid_length]"},
		{"no password file", []string{"--email", "a@example.org", "--password-file", "/nonexistent"}, 1, "read the password"},
		{"bad address and name", []string{"--email", "nonsense", "--name", "", "--password-file", good}, 1, "[email: invalid_email] [name: invalid_name]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := program(t.Context(), w.Environ, append([]string{"admin", "create"}, tc.args...)...)
			if code != tc.code || !strings.Contains(stdout+stderr, tc.want) || strings.Count(stdout+stderr, "\n") != 1 || (code == 0) != (stderr == "") || strings.Contains(stdout+stderr, password) {
				t.Errorf("ends with %d, %q, %q; want %d and %q", code, stdout, stderr, tc.code, tc.want)
			}
		})
	}
	t.Run("generated password", func(t *testing.T) {
		code, stdout, stderr := program(t.Context(), w.Environ, "admin", "create", "--email", "generated@example.org", "--name", "Boss")
		if code != 0 {
			t.Fatalf("ends with %d: %s", code, stderr)
		}
		p := s.in(t).signIn(person{Email: "generated@example.org"}, strings.TrimSpace(stdout[strings.LastIndexByte(strings.TrimSpace(stdout), ' '):]))
		me := s.in(t).want(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "")
		if me.Text("role") != "admin" || me.Text("name") != "Boss" || me.JSON["email_verified"] != true {
			t.Errorf("made %s", me.Body)
		}
	})
	t.Run("while Redis and RabbitMQ are away", func(t *testing.T) {
		w.RedisTo.Down()
		w.BrokerTo.Down()
		defer w.RedisTo.Up()
		defer w.BrokerTo.Up()
		if code, _, stderr := program(t.Context(), w.Environ, "admin", "create", "--email", "b@example.org", "--password-file", good); code != 0 {
			t.Errorf("ends with %d: %s", code, stderr)
		}
	})
	t.Run("while MySQL is away", func(t *testing.T) {
		code, stdout, stderr := program(t.Context(), serverless(t, nil), "admin", "create", "--email", "c@example.org", "--password-file", good)
		if code != 69 || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("ends with %d, %q, %q; want 69 and one line", code, stdout, stderr)
		}
	})
}

// TestServeWaitsForMySQL starts the program before its database: it waits, and ends well when it is told to.
func TestServeWaitsForMySQL(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if code, stdout, stderr := program(ctx, serverless(t, nil)); code != 0 || stderr != "" || strings.Contains(stdout, `"msg":"ready"`) {
		t.Errorf("ends with %d: %s%s", code, stdout, stderr)
	}
}
