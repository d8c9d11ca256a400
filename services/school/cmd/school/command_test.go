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
	"pgo/services/school/events"
	"pgo/services/school/migrations"
	"pgo/services/school/openapi"
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
		"PGO_CFG_AUTH__USER_URL": "http://127.0.0.1:1",
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
		file    string // the text of school.yaml, "" for the real one
		want    string
	}{
		{name: "unknown variable", environ: map[string]string{"PGO_CFG_NONSENSE": "1"}, want: "environment PGO_CFG_NONSENSE: nonsense: expected a known key"},
		{name: "unknown key of a section", environ: map[string]string{"PGO_CFG_AUTH__SIGNING_KEY": "1"}, want: "auth.signing_key: expected a known key"},
		{name: "wrong type", environ: map[string]string{"PGO_CFG_MYSQL__MAX_OPEN": "many"}, want: "mysql.max_open: expected a whole number"},
		{name: "wrong duration", environ: map[string]string{"PGO_CFG_REDIS__TTL": "15"}, want: "redis.ttl: expected a duration"},
		{name: "missing secret", environ: map[string]string{"PGO_CFG_MYSQL__PASSWORD": absent}, want: "mysql.password: expected a secret: set PGO_CFG_MYSQL__PASSWORD"},
		{name: "secret's file missing", environ: map[string]string{"PGO_CFG_MYSQL__PASSWORD_FILE": "/nonexistent"}, want: "mysql.password: expected a readable file"},
		{name: "short secret in production", environ: map[string]string{"PGO_ENV": "prod"}, want: "expected a secret of at least 16 bytes"},
		{name: "example secret in production", environ: map[string]string{"PGO_ENV": "prod", "PGO_CFG_MYSQL__PASSWORD": "changeme-changeme-changeme"}, want: "mysql.password: expected a secret that is not an example"},
		{name: "no issuer", environ: map[string]string{"PGO_CFG_AUTH__ISSUER": ""}, want: "auth.issuer: expected a name"},
		{name: "no audience", environ: map[string]string{"PGO_CFG_AUTH__AUDIENCE": ""}, want: "auth.audience: expected a name"},
		{name: "no address of User", environ: map[string]string{"PGO_CFG_AUTH__USER_URL": ""}, want: "auth.user_url: expected a URL"},
		{name: "address of User without a scheme", environ: map[string]string{"PGO_CFG_AUTH__USER_URL": "127.0.0.1:8081"}, want: "auth.user_url: expected a URL"},
		{name: "log level", environ: map[string]string{"PGO_CFG_LOG__LEVEL": "loud"}, want: "log.level: expected"},
		{name: "unknown environment", environ: map[string]string{"PGO_ENV": "nonsense"}, want: "PGO_ENV: expected one of dev, test, staging, prod"},
		{name: "no folder", environ: map[string]string{"PGO_CONFIG_DIR": "/nonexistent"}, want: "/nonexistent/base.yaml: expected a readable file"},
		{name: "unknown key in a file", file: "auth:\n  issuer: pgo\n  isuer: pgo\n", want: "school.yaml:3: auth.isuer: expected a known key"},
		{name: "wrong type in a file", file: "mysql:\n  max_open: three\n", want: "school.yaml:2: mysql.max_open: expected a whole number"},
		{name: "bad value in a file", file: "mysql:\n  max_open: -3\n", want: "school.yaml:2: mysql.max_open: expected a number above 0"},
		{name: "secret in a file", file: "mysql:\n  password: hunter2\n", want: "school.yaml:2: mysql.password: expected no secret in a file"},
		{name: "not YAML", file: "auth: [\n", want: "school.yaml:"},
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
			for _, args := range [][]string{{"check"}, nil, {"export"}} {
				code, stdout, stderr := program(ctx, environ, args...)
				if code != 78 || stdout != "" {
					t.Errorf("%v ends with %d and writes %s", args, code, stdout)
				}
				if !strings.HasPrefix(stderr, "school: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tc.want) || strings.Contains(stderr, "hunter2") {
					t.Errorf("%v says %q, want one line with %q and no secret", args, stderr, tc.want)
				}
			}
		})
	}
}

// configs returns a copy of the configuration folder with another school.yaml.
func configs(t testing.TB, schoolYAML string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../../../configs")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "school.yaml"), []byte(schoolYAML), 0o600); err != nil {
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
		if err := json.Unmarshal([]byte(tell(t, "topology")), &got); err != nil || len(got.Queues) != 1 || got.Queues[0].Name != events.Queue {
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
		{"nonsense"}, {"--nonsense"}, {"version", "nonsense"}, {"version", "--nonsense"}, {"check", "x"}, {"export", "x"}, {"export", "--nonsense"}, {"events"}, {"events", "dead"}, {"events", "dead", "show"}, {"serve"},
	} {
		code, stdout, stderr := program(t.Context(), nil, args...)
		if code != 64 || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v ends with %d and writes %q, %q; want 64 and one line", args, code, stdout, stderr)
		}
	}
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
