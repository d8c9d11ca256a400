package servicetest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Commands describes a service to TestCommands, beside what holds for every one.
type Commands struct {
	OpenAPI             []byte
	ExtraEnviron        map[string]string  // what a valid configuration needs beside OfflineEnviron
	ConfigCommands      [][]string         // commands that read the configuration
	BadConfigurations   []BadConfiguration // each must stop every one of them
	InvalidCommandLines [][]string         // command lines that must be refused
}

// BadConfiguration is a valid configuration with one mistake.
type BadConfiguration struct {
	Name    string
	Environ map[string]string // changes to the valid one; Absent removes a variable
	File    string            // the text of the service's own file, "" for the real one
	Want    string            // part of the program's one line of output
}

// Absent is the value of a variable that must not be set.
const Absent = "\x00absent"

// secretMarker is part of every secret of OfflineEnviron. No output may contain it.
const secretMarker = "hunter2"

// commonBadConfigurations are invalid for every service.
var commonBadConfigurations = []BadConfiguration{
	{Name: "unknown variable", Environ: map[string]string{"PGO_CFG_NONSENSE": "1"}, Want: "environment PGO_CFG_NONSENSE: nonsense: expected a known key"},
	{Name: "wrong type", Environ: map[string]string{"PGO_CFG_MYSQL__MAX_OPEN": "many"}, Want: "mysql.max_open: expected a whole number"},
	{Name: "wrong duration", Environ: map[string]string{"PGO_CFG_REDIS__TTL": "15"}, Want: "redis.ttl: expected a duration"},
	{Name: "missing secret", Environ: map[string]string{"PGO_CFG_MYSQL__PASSWORD": Absent}, Want: "mysql.password: expected a secret: set PGO_CFG_MYSQL__PASSWORD"},
	{Name: "secret's file missing", Environ: map[string]string{"PGO_CFG_MYSQL__PASSWORD_FILE": "/nonexistent"}, Want: "mysql.password: expected a readable file"},
	{Name: "short secret in production", Environ: map[string]string{"PGO_ENV": "prod"}, Want: "expected a secret of at least 16 bytes"},
	{Name: "example secret in production", Environ: map[string]string{"PGO_ENV": "prod", "PGO_CFG_MYSQL__PASSWORD": "changeme-changeme-changeme"}, Want: "mysql.password: expected a secret that is not an example"},
	{Name: "log level", Environ: map[string]string{"PGO_CFG_LOG__LEVEL": "loud"}, Want: "log.level: expected"},
	{Name: "unknown environment", Environ: map[string]string{"PGO_ENV": "nonsense"}, Want: "PGO_ENV: expected one of dev, test, staging, prod"},
	{Name: "no directory", Environ: map[string]string{"PGO_CONFIG_DIR": "/nonexistent"}, Want: "/nonexistent/base.yaml: expected a readable file"},
	{Name: "unknown key in a file", File: "mysql:\n  max_open: 3\n  max_opne: 4\n", Want: ".yaml:3: mysql.max_opne: expected a known key"},
	{Name: "wrong type in a file", File: "mysql:\n  max_open: three\n", Want: ".yaml:2: mysql.max_open: expected a whole number"},
	{Name: "bad value in a file", File: "mysql:\n  max_open: -3\n", Want: ".yaml:2: mysql.max_open: expected a number above 0"},
	{Name: "secret in a file", File: "mysql:\n  password: hunter2\n", Want: ".yaml:2: mysql.password: expected no secret in a file"},
	{Name: "not YAML", File: "mysql: [\n", Want: ".yaml:"},
}

// commonInvalidCommandLines are invalid for every service.
var commonInvalidCommandLines = [][]string{
	{"nonsense"}, {"--nonsense"}, {"version", "nonsense"}, {"version", "--nonsense"}, {"check", "x"}, {"serve"},
	{"events"}, {"events", "dead"}, {"events", "dead", "nonsense"}, {"events", "dead", "show"}, {"events", "dead", "replay"}, {"events", "dead", "drop"},
}

// RunCommand runs a command of the program with nothing but environ, and returns its exit code and what it wrote.
func (s Service) RunCommand(ctx context.Context, environ []string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = s.Run(ctx, args, environ, &out, &err)
	return code, out.String(), err.String()
}

// OfflineEnviron returns the environment of a valid configuration whose servers do not exist, with changes.
func (s Service) OfflineEnviron(changes ...map[string]string) []string {
	environ := map[string]string{
		"PGO_CONFIG_DIR": s.ConfigDir, "PGO_ENV": "test", "PGO_CFG_HTTP__ADDR": "127.0.0.1:0",
		"PGO_CFG_MYSQL__ADDR": "127.0.0.1:1", "PGO_CFG_REDIS__ADDR": "127.0.0.1:1", "PGO_CFG_RABBITMQ__ADDR": "127.0.0.1:1",
		"PGO_CFG_MYSQL__PASSWORD": "mysql-" + secretMarker, "PGO_CFG_REDIS__PASSWORD": "redis-" + secretMarker, "PGO_CFG_RABBITMQ__PASSWORD": "rabbitmq-" + secretMarker,
	}
	for _, c := range changes {
		maps.Copy(environ, c)
	}
	var all []string
	for k, v := range environ {
		if v != Absent {
			all = append(all, k+"="+v)
		}
	}
	return all
}

// CopyConfigs returns a copy of the configuration directory with another text in the service's own file.
func (s Service) CopyConfigs(t testing.TB, yaml string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.ConfigDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, s.Name+".yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestCommands runs the program as a shell does, without any server. It checks the commands that describe the binary, and
// that a bad configuration or command line ends the program with the right exit code and one line that gives the reason and
// shows no secret.
func TestCommands(t *testing.T, s Service, c Commands) {
	t.Run("describes itself", func(t *testing.T) { s.assertOutput(t, c) })
	t.Run("a bad configuration", func(t *testing.T) {
		for _, bad := range slices.Concat(commonBadConfigurations, c.BadConfigurations) {
			t.Run(bad.Name, func(t *testing.T) { s.assertRefused(t, c, bad) })
		}
	})
	t.Run("a wrong command line", func(t *testing.T) {
		for _, args := range slices.Concat(commonInvalidCommandLines, c.InvalidCommandLines) {
			if code, stdout, stderr := s.RunCommand(t.Context(), nil, args...); code != 64 || stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%v ends with %d and writes %q, %q; want 64 and one line", args, code, stdout, stderr)
			}
		}
	})
	t.Run("serving before its servers are available", func(t *testing.T) { // it waits, and ends well when it is asked to
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if code, stdout, stderr := s.RunCommand(ctx, s.OfflineEnviron(c.ExtraEnviron)); code != 0 || stderr != "" || strings.Contains(stdout, `"msg":"ready"`) {
			t.Errorf("ends with %d: %s%s", code, stdout, stderr)
		}
	})
}

func (s Service) assertRefused(t *testing.T, c Commands, bad BadConfiguration) {
	change := maps.Clone(bad.Environ)
	if bad.File != "" {
		change = map[string]string{"PGO_CONFIG_DIR": s.CopyConfigs(t, bad.File)}
		maps.Copy(change, bad.Environ)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // else a program that serves never ends
	defer cancel()
	for _, args := range slices.Concat([][]string{{"check"}, nil}, c.ConfigCommands) {
		code, stdout, stderr := s.RunCommand(ctx, s.OfflineEnviron(c.ExtraEnviron, change), args...)
		if code != 78 || stdout != "" {
			t.Errorf("%v ends with %d and writes %s", args, code, stdout)
		}
		if !strings.HasPrefix(stderr, s.Name+": ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, bad.Want) || strings.Contains(stderr, secretMarker) {
			t.Errorf("%v prints %q, want one line with %q and no secret", args, stderr, bad.Want)
		}
	}
}

func (s Service) assertOutput(t *testing.T, c Commands) {
	tell := func(environ []string, args ...string) string {
		t.Helper()
		code, stdout, stderr := s.RunCommand(t.Context(), environ, args...)
		if code != 0 || stderr != "" {
			t.Errorf("%v ends with %d: %s", args, code, stderr)
		}
		return stdout
	}
	names, err := fs.Glob(s.Migrations, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("migrations %v, %v", names, err)
	}
	var latest int
	if _, err := fmt.Sscanf(names[len(names)-1], "%d_", &latest); err != nil {
		t.Fatal(err)
	}
	var version map[string]any
	if err := json.Unmarshal([]byte(tell(nil, "version", "--json")), &version); err != nil {
		t.Error(err)
	}
	for _, field := range []string{"version", "commit", "go", "os", "arch"} {
		if version[field] == nil || version[field] == "" {
			t.Errorf("the version lacks %s: %v", field, version)
		}
	}
	if version["schema_version"] != float64(latest) {
		t.Errorf("the schema version is %v, want %d", version["schema_version"], latest)
	}
	if text := tell(nil, "version"); strings.Count(text, "\n") != 1 {
		t.Errorf("the version for people is %q", text)
	}
	if got := readTar(t, tell(nil, "migrations"), s.Migrations); !slices.Equal(got, names) {
		t.Errorf("the migrations are %v, want %v", got, names)
	}
	topology, err := json.Marshal(s.Topology)
	if err != nil || tell(nil, "topology") != string(topology)+"\n" || len(s.Topology.Queues) == 0 {
		t.Errorf("the topology is not %s, %v", topology, err)
	}
	if tell(nil, "openapi") != string(c.OpenAPI) {
		t.Error("openapi does not print the specification")
	}
	if got := tell(s.OfflineEnviron(c.ExtraEnviron), "check"); got != "configuration is valid\n" {
		t.Errorf("check of a valid configuration prints %q", got)
	}
}

// readTar returns the archive's names, whose contents must be those in want.
func readTar(t *testing.T, archive string, want fs.FS) (names []string) {
	r := tar.NewReader(strings.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := fs.ReadFile(want, h.Name); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s differs, %v", h.Name, err)
		}
	}
}
