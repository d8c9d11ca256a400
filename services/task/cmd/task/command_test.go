package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
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
	"pgo/pkg/testkit"
	"pgo/services/task/events"
	"pgo/services/task/migrations"
	"pgo/services/task/openapi"
)

// program runs the program with an environment and returns its exit code and what it wrote.
func program(ctx context.Context, environ []string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(ctx, args, environ, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// serverless is an environment of a good configuration whose servers need not be there.
func serverless(change map[string]string) []string {
	environ := map[string]string{
		"PGO_CONFIG_DIR": "../../../../configs", "PGO_ENV": "test", "PGO_CFG_HTTP__ADDR": "127.0.0.1:0", "PGO_CFG_MYSQL__ADDR": "127.0.0.1:1",
		"PGO_CFG_RABBITMQ__ADDR": "127.0.0.1:1", "PGO_CFG_REDIS__ADDR": "127.0.0.1:1", "PGO_CFG_AUTH__USER_URL": "http://127.0.0.1:1",
		"PGO_CFG_MYSQL__PASSWORD": "mysql-hunter2", "PGO_CFG_REDIS__PASSWORD": "redis-hunter2", "PGO_CFG_RABBITMQ__PASSWORD": "rabbitmq-hunter2",
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
	for _, tc := range []struct {
		name    string
		environ map[string]string
		file    string // the text of task.yaml, "" for the real one
		want    string
	}{
		{name: "unknown variable", environ: map[string]string{"PGO_CFG_NONSENSE": "1"}, want: "environment PGO_CFG_NONSENSE: nonsense: expected a known key"},
		{name: "unknown key of a section", environ: map[string]string{"PGO_CFG_AUTH__SIGNING_KEY": "1"}, want: "auth.signing_key: expected a known key"},
		{name: "wrong type", environ: map[string]string{"PGO_CFG_MYSQL__MAX_OPEN": "many"}, want: "mysql.max_open: expected a whole number"},
		{name: "missing secret", environ: map[string]string{"PGO_CFG_MYSQL__PASSWORD": absent}, want: "mysql.password: expected a secret: set PGO_CFG_MYSQL__PASSWORD"},
		{name: "secret's file missing", environ: map[string]string{"PGO_CFG_MYSQL__PASSWORD_FILE": "/nonexistent"}, want: "mysql.password: expected a readable file"},
		{name: "short secret in production", environ: map[string]string{"PGO_ENV": "prod"}, want: "expected a secret of at least 16 bytes"},
		{name: "no issuer", environ: map[string]string{"PGO_CFG_AUTH__ISSUER": ""}, want: "auth.issuer: expected a name"},
		{name: "no audience", environ: map[string]string{"PGO_CFG_AUTH__AUDIENCE": ""}, want: "auth.audience: expected a name"},
		{name: "where User is", environ: map[string]string{"PGO_CFG_AUTH__USER_URL": "127.0.0.1:8081"}, want: "auth.user_url: expected a URL"},
		{name: "where User is, with a path", environ: map[string]string{"PGO_CFG_AUTH__USER_URL": "http://127.0.0.1:8081/api"}, want: "auth.user_url: expected a URL"},
		{name: "log level", environ: map[string]string{"PGO_CFG_LOG__LEVEL": "loud"}, want: "log.level: expected"},
		{name: "unknown environment", environ: map[string]string{"PGO_ENV": "nonsense"}, want: "PGO_ENV: expected one of dev, test, staging, prod"},
		{name: "no folder", environ: map[string]string{"PGO_CONFIG_DIR": "/nonexistent"}, want: "/nonexistent/base.yaml: expected a readable file"},
		{name: "unknown key in a file", file: "auth:\n  issuer: pgo\n  isuer: pgo\n", want: "task.yaml:3: auth.isuer: expected a known key"},
		{name: "secret in a file", file: "mysql:\n  password: hunter2\n", want: "task.yaml:2: mysql.password: expected no secret in a file"},
		{name: "not YAML", file: "auth: [\n", want: "task.yaml:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			change := map[string]string{}
			maps.Copy(change, tc.environ)
			if tc.file != "" {
				change["PGO_CONFIG_DIR"] = configs(t, tc.file)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // else a program that serves never ends
			defer cancel()
			for _, args := range [][]string{{"check"}, nil, {"view", "rebuild"}, {"events", "dead", "list"}} {
				code, stdout, stderr := program(ctx, serverless(change), args...)
				if code != 78 || stdout != "" {
					t.Errorf("%v ends with %d and writes %s", args, code, stdout)
				}
				if !strings.HasPrefix(stderr, "task: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tc.want) || strings.Contains(stderr, "hunter2") {
					t.Errorf("%v says %q, want one line with %q and no secret", args, stderr, tc.want)
				}
			}
		})
	}
}

// configs returns a copy of the configuration folder with another task.yaml.
func configs(t testing.TB, yaml string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../../../configs")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "task.yaml"), []byte(yaml), 0o600); err != nil {
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
		if v["schema_version"] != 3.0 {
			t.Errorf("schema version is %v", v["schema_version"])
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
		if err := json.Unmarshal([]byte(tell(t, "topology")), &got); err != nil || len(got.Queues) != 1 || got.Queues[0].Name != events.Queue || !slices.Contains(got.Queues[0].Bindings, "class.*.v1") {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("openapi", func(t *testing.T) {
		if tell(t, "openapi") != string(openapi.JSON) {
			t.Error("not the specification")
		}
	})
	t.Run("check", func(t *testing.T) {
		code, stdout, stderr := program(t.Context(), serverless(nil), "check")
		if code != 0 || stdout != "configuration is valid\n" || stderr != "" {
			t.Errorf("ends with %d: %s%s", code, stdout, stderr)
		}
	})
}

func TestAWrongCommandLine(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"}, {"--nonsense"}, {"version", "nonsense"}, {"check", "x"}, {"view"}, {"view", "nonsense"}, {"view", "rebuild", "a", "b"}, {"view", "rebuild", "--nonsense"},
		{"events"}, {"events", "dead"}, {"events", "dead", "nonsense"}, {"events", "dead", "replay"}, {"serve"},
	} {
		code, stdout, stderr := program(t.Context(), nil, args...)
		if code != 64 || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v ends with %d and writes %q, %q; want 64 and one line", args, code, stdout, stderr)
		}
	}
}

// TestServeWaitsForMySQL starts the program before its servers: it waits, and ends well when it is told to.
func TestServeWaitsForMySQL(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if code, stdout, stderr := program(ctx, serverless(nil)); code != 0 || stderr != "" || strings.Contains(stdout, `"msg":"ready"`) {
		t.Errorf("ends with %d: %s%s", code, stdout, stderr)
	}
}

// TestTheLogLevelChangesWhileRunning changes the file as an editor does; a bad file leaves the old level in force.
func TestTheLogLevelChangesWhileRunning(t *testing.T) {
	t.Parallel()
	dir := configs(t, "log:\n  level: info\n")
	w := newWorld(t)
	w.Environ = append(w.Environ, "PGO_CONFIG_DIR="+dir)
	s := w.Start(t)
	for i, step := range []struct{ level, logged string }{{"debug", "configuration reloaded"}, {"loud", "configuration refused, the old one stays in force"}, {"info", "configuration reloaded"}} {
		if err := os.WriteFile(filepath.Join(dir, "task.yaml"), []byte("log:\n  level: "+step.level+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, step.logged, func() error {
			if len(s.Logs.Having(step.logged)) < i/2+1 {
				return errors.New("not logged")
			}
			return nil
		})
	}
}
