package compose

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgo/deploy/stack/internal/certs"
	"pgo/deploy/stack/internal/checkout"
)

// The files are complete for docker-compose.yml, and the home is closed to other users.
func TestResolveSettingsAndWriteFiles(t *testing.T) {
	s := prepareHome(t)
	v, err := s.resolveSettings(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.writeFiles(v); err != nil {
		t.Fatal(err)
	}
	if err := s.writeEnv(v.values); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"docker-compose.yml", filepath.Join("deploy", "monitor", "compose.yml")} {
		compose, err := os.ReadFile(filepath.Join(s.Checkout.Root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range strings.Split(string(compose), "${")[1:] {
			name, _, _ := strings.Cut(ref, "}")
			if strings.ContainsAny(name, ":-?") {
				continue // it has a default or an error message
			}
			if v.values[name] == "" {
				t.Errorf("%s needs %s, which has no value", file, name)
			}
		}
	}
	for _, file := range []string{"prometheus/prometheus.yml", "alertmanager/alertmanager.yml", "exporters/redis-exporter.json"} {
		if _, err := os.Stat(s.dockerPath("monitoring", file)); err != nil {
			t.Errorf("the monitoring's containers lack a file: %v", err)
		}
	}
	if got, want := v.values["PGO_TRACING_ENDPOINT"]+" "+v.values["PGO_GRAFANA_HTTP"], "http://otelcol:4318 24000"; got != want {
		t.Errorf("the endpoint for spans, and Grafana's port: %s, want %s", got, want)
	}
	for _, secret := range []string{"user_signing_key.pem", "mysql_admin_password"} {
		info, err := os.Stat(s.dockerPath("secrets", runtimePart, secret))
		if err != nil || info.Mode().Perm() != privateFile {
			t.Errorf("%s: %v, %v", secret, info, err)
		}
	}
	if info, err := os.Stat(s.Checkout.Home); err != nil || info.Mode().Perm() != privateDir {
		t.Errorf("the home has mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(s.envFile())
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(s.Checkout.Path("secrets"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		secret, err := s.Checkout.ReadSecret(entry.Name())
		if strings.Contains(string(text), secret) {
			t.Errorf("%s is in the values for docker-compose.yml", entry.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSMTPSettingsReachTheRuntime sets the server by the environment. The password's file is named where there is one, and its content
// is in the runtime's secrets alone.
func TestSMTPSettingsReachTheRuntime(t *testing.T) {
	asked := map[string]string{"PGO_SMTP_ADDR": "smtp.example.org:587", "PGO_SMTP_USERNAME": "pgo", "PGO_MAIL_FROM": "school@example.org"}
	for name, passwordFile := range map[string]string{"without a password": "", "with a password": "/run/secrets/user_smtp_password"} {
		t.Run(name, func(t *testing.T) {
			s := prepareHome(t)
			inherited := s.Getenv
			s.Getenv = func(key string) string {
				if value, ok := asked[key]; ok {
					return value
				}
				return inherited(key)
			}
			if passwordFile != "" {
				if err := os.WriteFile(s.Checkout.Path("secrets", checkout.SMTPPassword), []byte("the mail password\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			v, err := s.resolveSettings(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.writeFiles(v); err != nil {
				t.Fatal(err)
			}
			if err := s.writeEnv(v.values); err != nil {
				t.Fatal(err)
			}
			for key, want := range asked {
				if v.values[key] != want {
					t.Errorf("%s is %q, want %q", key, v.values[key], want)
				}
			}
			if got := v.values["PGO_SMTP_PASSWORD_FILE"]; got != passwordFile {
				t.Errorf("the password's file is %q, want %q", got, passwordFile)
			}
			env, err := os.ReadFile(s.envFile())
			if err != nil || strings.Contains(string(env), "the mail password") {
				t.Errorf("the values have the password, or %v", err)
			}
			secret, err := os.ReadFile(s.dockerPath("secrets", runtimePart, checkout.SMTPPassword))
			if has := err == nil && strings.Contains(string(secret), "the mail password"); has != (passwordFile != "") {
				t.Errorf("the runtime's secrets have the password: %v, %v", has, err)
			}
		})
	}
}

func TestRedisAccountsAreKeptAndPasswordChanges(t *testing.T) {
	s := prepareHome(t)
	v, err := s.resolveSettings(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	acl := func() string {
		if err := s.writeRedisAccounts(v, "first"); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(s.dockerPath("data", "redis", "users.acl"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	saved := acl() + "user user on #abc ~user:* +get\n"
	if err := os.WriteFile(s.dockerPath("data", "redis", "users.acl"), []byte(saved), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := acl(); got != saved {
		t.Errorf("a correct file was changed: %s", got)
	}
	if err := s.writeRedisAccounts(v, "second"); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(s.dockerPath("data", "redis", "users.acl"))
	if !strings.Contains(string(text), "user user on #abc") || string(text) == saved {
		t.Errorf("after another password: %s", text)
	}
}

func TestResolveSettingsRejects(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		says string
	}{
		{"an offset that is not a number", map[string]string{"PORT_OFFSET": "many"}, "not a whole number"},
		{"a missing deploy directory", map[string]string{"PGO_BACKEND": "/nowhere"}, "deploy directory"},
		{"no socket of an engine", map[string]string{"PGO_BACKEND": "/tmp", "COMPOSE_PROFILES": "monitoring", "PGO_DOCKER_SOCKET": "/etc/hostname"}, "PGO_DOCKER_SOCKET names: /etc/hostname is not a socket"},
		{"a time zone that is none", map[string]string{"PGO_BACKEND": "/tmp", "ALERTS_TZ": "Asia/Nowhere"}, "is not a time zone"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s := prepareHome(t)
			s.Getenv = func(key string) string { return tc.env[key] }
			if _, err := s.resolveSettings(context.Background()); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func prepareHome(t *testing.T) Stack {
	t.Helper()
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	co := checkout.Checkout{Root: root, Home: filepath.Join(t.TempDir(), "home")}
	if _, err := co.MakeSecrets(); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.Ensure(co.Path("certs"), certs.DefaultHosts(), time.Now()); err != nil {
		t.Fatal(err)
	}
	backend := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "pgo-s-") // short enough for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return Stack{Checkout: co, Out: t.Output(), Err: t.Output(), Getenv: func(key string) string {
		return map[string]string{"PORT_OFFSET": "21000", "PGO_BACKEND": backend, "COMPOSE_PROFILES": "monitoring", "PGO_DOCKER_SOCKET": socket}[key]
	}}
}
