package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/renameio/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pgo/pkg/config"
)

type sample struct {
	Name    string            `config:"name"`
	MySQL   database          `config:"mysql"`
	Ratio   float64           `config:"ratio"`
	On      bool              `config:"on"`
	Proxies []string          `config:"proxies"`
	Parts   map[string]part   `config:"parts"`
	Tags    map[string]string `config:"tags"`
}

type database struct {
	Addr     string        `config:"addr"`
	MaxOpen  int           `config:"max_open"`
	Timeout  time.Duration `config:"timeout"`
	Password config.Secret `config:"password"`
}

type part struct {
	Binary   string        `config:"binary"`
	Password config.Secret `config:"password"`
}

func (s *sample) Validate(c *config.Check) {
	c.Expect(s.MySQL.MaxOpen > 0, "mysql.max_open", "a number above 0")
	c.ExpectSecret("mysql.password", s.MySQL.Password)
}

func defaults() sample {
	return sample{Name: "sample", MySQL: database{Addr: "127.0.0.1:3306", MaxOpen: 10, Timeout: time.Second}, Ratio: 0.5}
}

// writeDir writes a configuration directory; files that are not given are empty.
func writeDir(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "env"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"base.yaml", "sample.yaml", "env/dev.yaml", "env/prod.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const goodSecret = "PGO_CFG_MYSQL__PASSWORD=0123456789abcdefghij"

func TestLayersWinInOrder(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := writeDir(t, map[string]string{
		"base.yaml":    "name: base\nratio: 1\nmysql: {addr: 'base:1', max_open: 1, timeout: 1s}\n",
		"sample.yaml":  "mysql:\n  addr: sample:2\n  max_open: 2\n  timeout: 2s\nproxies: [a, b]\nparts:\n  user: {binary: bin/user}\ntags: {x: y}\n",
		"env/dev.yaml": "mysql: {max_open: 3, timeout: 3s}\non: true\n",
	})
	got, err := config.Load(defaults(), config.Options{
		Dir: dir, Name: "sample", Env: "dev",
		Environ:   []string{"PATH=/bin", "PGO_CFG_MYSQL__MAX_OPEN=4", "PGO_CFG_MYSQL__TIMEOUT=4s", "PGO_CFG_MYSQL__PASSWORD_FILE=" + secret, "PGO_CFG_PARTS__USER__PASSWORD=pw"},
		Overrides: map[string]string{"mysql.timeout": "5s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := sample{
		Name: "base", Ratio: 1, On: true, Proxies: []string{"a", "b"},
		MySQL: database{Addr: "sample:2", MaxOpen: 4, Timeout: 5 * time.Second, Password: "from-a-file"},
		Parts: map[string]part{"user": {Binary: "bin/user", Password: "pw"}},
		Tags:  map[string]string{"x": "y"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsNameFileLineAndKey(t *testing.T) {
	for _, tc := range []struct {
		name    string
		files   map[string]string
		env     string
		environ []string
		flags   map[string]string
		want    string // DIR stands for the directory
	}{
		{name: "unknown key", files: map[string]string{"sample.yaml": "mysql:\n  adr: x\n"}, want: "DIR/sample.yaml:2: mysql.adr: expected a known key, one of addr, max_open, timeout, password"},
		{name: "unknown top key", files: map[string]string{"base.yaml": "\nnmae: x\n"}, want: "DIR/base.yaml:2: nmae: expected a known key, one of name, mysql, ratio, on, proxies, parts, tags"},
		{name: "unknown key in a map's value", files: map[string]string{"base.yaml": "parts:\n  user:\n    bin: x\n"}, want: "DIR/base.yaml:3: parts.user.bin: expected a known key, one of binary, password"},
		{name: "text for a number", files: map[string]string{"sample.yaml": "mysql: {max_open: many}"}, want: `DIR/sample.yaml:1: mysql.max_open: expected a whole number, got "many"`},
		{name: "quoted number", files: map[string]string{"sample.yaml": "mysql: {max_open: '5'}"}, want: `DIR/sample.yaml:1: mysql.max_open: expected a whole number, got "5"`},
		{name: "fraction for a whole number", files: map[string]string{"sample.yaml": "mysql: {max_open: 1.5}"}, want: `DIR/sample.yaml:1: mysql.max_open: expected a whole number, got "1.5"`},
		{name: "huge number", files: map[string]string{"sample.yaml": "mysql: {max_open: 99999999999999999999}"}, want: `DIR/sample.yaml:1: mysql.max_open: expected a whole number, got "99999999999999999999"`},
		{name: "number for a text", files: map[string]string{"sample.yaml": "name: 5"}, want: `DIR/sample.yaml:1: name: expected a text, got "5"`},
		{name: "number for a duration", files: map[string]string{"sample.yaml": "mysql: {timeout: 5}"}, want: `DIR/sample.yaml:1: mysql.timeout: expected a duration such as "500ms" or "2m", got "5"`},
		{name: "text for a group", files: map[string]string{"sample.yaml": "mysql: x"}, want: `DIR/sample.yaml:1: mysql: expected a group of keys, got "x"`},
		{name: "group for a text", files: map[string]string{"sample.yaml": "name: {a: b}"}, want: `DIR/sample.yaml:1: name: expected a text, got "a group of keys"`},
		{name: "null", files: map[string]string{"sample.yaml": "name:\n"}, want: `DIR/sample.yaml:1: name: expected a text, got ""`},
		{name: "list of numbers", files: map[string]string{"sample.yaml": "proxies: [1]"}, want: `DIR/sample.yaml:1: proxies: expected a list of texts`},
		{name: "key twice", files: map[string]string{"sample.yaml": "name: a\nName: b"}, want: `DIR/sample.yaml:2: name: expected each key once`},
		{name: "secret in a file", files: map[string]string{"sample.yaml": "mysql: {password: x}"}, want: `DIR/sample.yaml:1: mysql.password: expected no secret in a file: set it in the environment`},
		{name: "alias", files: map[string]string{"sample.yaml": "name: &a x\nproxies: *a"}, want: `DIR/sample.yaml:2: proxies: expected no YAML alias`},
		{name: "merge", files: map[string]string{"sample.yaml": "parts:\n  <<: {binary: x}"}, want: `DIR/sample.yaml:2: parts: expected no YAML merge`},
		{name: "two documents", files: map[string]string{"sample.yaml": "name: a\n---\nname: b"}, want: `DIR/sample.yaml: expected one YAML document`},
		{name: "not YAML", files: map[string]string{"sample.yaml": "a: b: c\n"}, want: `DIR/sample.yaml:1: expected YAML: mapping values are not allowed in this context`},
		{name: "a list at the top", files: map[string]string{"sample.yaml": "- a"}, want: `DIR/sample.yaml:1: expected a group of keys, got "a list"`},
		{name: "fails its own check", files: map[string]string{"sample.yaml": "\n\nmysql: {max_open: 0}"}, want: `DIR/sample.yaml:3: mysql.max_open: expected a number above 0`},
		{name: "unknown environment", env: "prd", want: `environment PGO_ENV: expected one of dev, test, staging, prod, got "prd"`},
		{name: "missing file", env: "staging", want: `DIR/env/staging.yaml: expected a readable file: no such file or directory`},
		{name: "unknown variable", environ: []string{"PGO_CFG_MYSQL__MAX=1"}, want: `environment PGO_CFG_MYSQL__MAX: mysql.max: expected a known key, one of addr, max_open, timeout, password`},
		{name: "variable for a group", environ: []string{"PGO_CFG_MYSQL=1"}, want: `environment PGO_CFG_MYSQL: mysql: expected a known key, one of addr, max_open, timeout, password`},
		{name: "variable of the wrong type", environ: []string{"PGO_CFG_ON=maybe"}, want: `environment PGO_CFG_ON: on: expected true or false, got "maybe"`},
		{name: "secret file missing", environ: []string{"PGO_CFG_MYSQL__PASSWORD_FILE=/nowhere/x"}, want: `environment PGO_CFG_MYSQL__PASSWORD_FILE: mysql.password: expected a readable file with the secret: open /nowhere/x: no such file or directory`},
		{name: "secret missing", environ: []string{"PGO_CFG_MYSQL__PASSWORD="}, want: `environment PGO_CFG_MYSQL__PASSWORD: mysql.password: expected a secret: set PGO_CFG_MYSQL__PASSWORD, or PGO_CFG_MYSQL__PASSWORD_FILE to a file that holds it`},
		{name: "short secret in prod", env: "prod", environ: []string{"PGO_CFG_MYSQL__PASSWORD=k3Zp"}, want: `environment PGO_CFG_MYSQL__PASSWORD: mysql.password: expected a secret of at least 16 bytes`},
		{name: "secret in a directory", environ: []string{"PGO_CFG_MYSQL__PASSWORD_FILE=/"}, want: `environment PGO_CFG_MYSQL__PASSWORD_FILE: mysql.password: expected a readable file with the secret: it is a directory`},
		{name: "endless secret", environ: []string{"PGO_CFG_MYSQL__PASSWORD_FILE=/dev/zero"}, want: `environment PGO_CFG_MYSQL__PASSWORD_FILE: mysql.password: expected a readable file with the secret: it is not a regular file`},
		{name: "example secret of several words", env: "prod", environ: []string{"PGO_CFG_MYSQL__PASSWORD=test-password-secret-1234"}, want: `environment PGO_CFG_MYSQL__PASSWORD: mysql.password: expected a secret that is not an example`},
		{name: "example secret in prod", env: "prod", environ: []string{"PGO_CFG_MYSQL__PASSWORD=ChangeMe-ChangeMe-1"}, want: `environment PGO_CFG_MYSQL__PASSWORD: mysql.password: expected a secret that is not an example`},
		{name: "bad flag", flags: map[string]string{"mysql.nope": "1"}, want: `flag: mysql.nope: expected a known key, one of addr, max_open, timeout, password`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := writeDir(t, tc.files)
			env := tc.env
			if env == "" {
				env = "dev"
			}
			_, err := config.Load(defaults(), config.Options{Dir: dir, Name: "sample", Env: env, Environ: append([]string{goodSecret}, tc.environ...), Overrides: tc.flags})
			var ce *config.Error
			if !errors.As(err, &ce) {
				t.Fatalf("got %v, want a *config.Error", err)
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != tc.want {
				t.Errorf("\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestSecretIsMasked(t *testing.T) {
	s := database{Password: "hunter2hunter2"}
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s.Password, s.Password), string(asJSON)} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("shows the secret: %s", shown)
		}
	}
	if s.Password.Reveal() != "hunter2hunter2" {
		t.Error("Reveal changes the secret")
	}
}

func TestReloadKeepsTheOldConfigurationIfTheNewOneIsBad(t *testing.T) {
	dir := writeDir(t, map[string]string{"sample.yaml": "name: one"})
	load := func() (sample, error) {
		return config.Load(defaults(), config.Options{Dir: dir, Name: "sample", Env: "dev", Environ: []string{goodSecret}})
	}
	first, err := load()
	if err != nil {
		t.Fatal(err)
	}
	current := config.NewReloadable(first, load, prometheus.NewRegistry())
	changed := make(chan string, 10)
	current.OnChange(func(s sample) { changed <- s.Name })

	ctx, cancel := context.WithCancel(context.Background())
	hup := make(chan os.Signal)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := current.Run(ctx, config.Options{Dir: dir, Name: "sample", Env: "dev"}, hup, zap.NewNop()); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()

	write := func(text string) {
		t.Helper()
		if err := renameio.WriteFile(filepath.Join(dir, "sample.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("nmae: two")
	if err := current.Reload(); err == nil {
		t.Fatal("a bad file was accepted")
	}
	if got := current.Current().Name; got != "one" {
		t.Fatalf("after a bad file the name is %q", got)
	}
	hup <- os.Interrupt // received, so the loop runs and watches
	write("name: three")
	if got := <-changed; got != "three" {
		t.Errorf("got %q by the file's change, want three", got)
	}
	write("name: four")
	hup <- os.Interrupt
	if got := <-changed; got != "four" {
		t.Errorf("got %q by the signal, want four", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("name: x\nmysql: {max_open: 3}")
	f.Add("parts: {a: {binary: b}}\nproxies: [a]")
	f.Add("a: &x [*x]")
	f.Fuzz(func(t *testing.T, text string) {
		dir := writeDir(t, map[string]string{"sample.yaml": text})
		_, err := config.Load(defaults(), config.Options{Dir: dir, Name: "sample", Env: "dev", Environ: []string{goodSecret}})
		var ce *config.Error
		if err != nil && (!errors.As(err, &ce) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("got %q, want a *config.Error of one line", err)
		}
	})
}

// Gateway has a squashed struct, whose keys stand beside its own.
type Gateway struct {
	Addr   string `config:"addr"`
	Limits `config:",squash"`
}

// Limits stand beside the keys of the struct that embeds them.
type Limits struct {
	MaxBody int           `config:"max_body"`
	Timeout time.Duration `config:"timeout"`
}

func TestSquashedKeysStandBesideTheOthers(t *testing.T) {
	type program struct {
		HTTP Gateway `config:"http"`
	}
	defaults := program{HTTP: Gateway{Addr: "a:1", Limits: Limits{MaxBody: 1, Timeout: time.Second}}}
	options := func(yaml string, environ ...string) config.Options {
		return config.Options{Dir: writeDir(t, map[string]string{"sample.yaml": yaml}), Name: "sample", Env: "dev", Environ: environ}
	}
	got, err := config.Load(defaults, options("http: {addr: 'b:2', max_body: 2}", "PGO_CFG_HTTP__TIMEOUT=3s"))
	if err != nil {
		t.Fatal(err)
	}
	want := program{HTTP: Gateway{Addr: "b:2", Limits: Limits{MaxBody: 2, Timeout: 3 * time.Second}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := config.Load(defaults, options("http:\n  max_bdy: 2")); err == nil || !strings.HasSuffix(err.Error(), ":2: http.max_bdy: expected a known key, one of addr, max_body, timeout") {
		t.Errorf("got %v", err)
	}
}
