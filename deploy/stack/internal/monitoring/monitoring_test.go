package monitoring

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pgo/deploy/stack/internal/checkout"
	"pgo/pkg/testing/localserver"
)

// state returns a home of this checkout with made-up addresses.
func state(t *testing.T) (checkout.Checkout, map[string]string) {
	t.Helper()
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	co := checkout.Checkout{Root: root, Home: t.TempDir()}
	if err := co.MakeHome(); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"PORT_OFFSET": "1000", "BOOTCHECK_HTTP": "127.0.0.1:1", "PGO_HTTP": "127.0.0.1:6", "RABBITMQ_METRICS": "127.0.0.1:2", "MYSQL_ADDR": "127.0.0.1:3", "REDIS_ADDR": "127.0.0.1:4", "GATEWAY_STATUS": "127.0.0.1:5"}
	for _, p := range Parts() {
		for _, key := range append(p.needs, p.Addr) {
			env[key] = "127.0.0.1:9"
		}
	}
	for _, secret := range []string{"monitor_mysql_password", "monitor_redis_password"} {
		if err := os.WriteFile(co.Path("secrets", secret), []byte("a-password"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return co, env
}

// machine returns a machine that has programs with these names and nothing else.
func machine(t *testing.T, names ...string) localserver.Programs {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "usr", "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(root, "usr", "bin", name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Grafana's program comes with files.
	if err := os.MkdirAll(filepath.Join(root, "usr", "conf"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "usr", "conf", "defaults.ini"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return localserver.Programs{Root: root}
}

func TestMissingPartHasNoCommand(t *testing.T) {
	co, env := state(t)
	for _, p := range Parts() {
		if p.Package == "" {
			continue // a program of the checkout is in bin
		}
		for _, installed := range []bool{false, true} {
			var programs []string
			if installed {
				programs = p.Programs[:1]
			}
			command, err := p.PrepareCommand(co, env, machine(t, programs...))
			if err != nil || (command.Path != "") != installed {
				t.Errorf("%s, installed: %v: command %q, %v", p.Name, installed, command.Path, err)
			}
			for _, arg := range append(command.Args, command.Env...) {
				if strings.Contains(arg, "a-password") {
					t.Errorf("%s has a password in an argument or its environment: %s", p.Name, arg)
				}
			}
		}
	}
}

// The process file leaves out what is not installed.
func TestProcessFileAsksWhatIsInstalled(t *testing.T) {
	co, _ := state(t)
	text, err := os.ReadFile(filepath.Join(co.Root, "configs", "pgo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Processes map[string]struct {
			Condition string `yaml:"if"`
		} `yaml:"processes"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	values := Installed(co, machine(t, "prometheus", "otelcol"))
	for _, p := range Parts() {
		process, ok := file.Processes[p.Name]
		if !ok {
			t.Errorf("configs/pgo.yaml has no process %s", p.Name)
			continue
		}
		want, installed := "", ""
		if p.Package != "" {
			want, installed = "${"+p.InstalledKey()+":-true}", strconv.FormatBool(p.Name == "prometheus" || p.Name == collector)
		}
		if process.Condition != want || values[p.InstalledKey()] != installed {
			t.Errorf("%s: if: %q, want %q; %s=%q, want %q", p.Name, process.Condition, want, p.InstalledKey(), values[p.InstalledKey()], installed)
		}
	}
}

func TestMailOnlyIfConfigured(t *testing.T) {
	for _, tc := range []struct {
		name, host string
		mail       bool
	}{
		{"no mail server", "", false},
		{"a mail server", "mail.test:587", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("SMTP_SMARTHOST", tc.host)
			co, env := state(t)
			if err := alertmanagerFiles(co, env); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(co.Path("etc", "alertmanager.yml"))
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{"smtp_smarthost", "email_configs"} {
				if got := strings.Contains(string(text), part); got != tc.mail {
					t.Errorf("%s: %v\n%s", part, got, text)
				}
			}
			if !strings.Contains(string(text), `url: "http://127.0.0.1:9/alerts"`) || strings.Contains(string(text), "${") {
				t.Errorf("not filled in:\n%s", text)
			}
		})
	}
}

// The files that containers mount are complete.
func TestWriteContainerFiles(t *testing.T) {
	co, _ := state(t)
	t.Setenv("SMTP_SMARTHOST", "mail.test:587")
	dir := t.TempDir()
	if err := WriteContainerFiles(co, dir, "http://127.0.0.1:3000", "UTC"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"prometheus/prometheus.yml":     `grafana: "http://127.0.0.1:3000"`,
		"prometheus/targets.json":       `"mysqld-exporter:9104"`,
		"prometheus/links.yml":          `record: "alert:links"`,
		"alertmanager/alertmanager.yml": `smtp_smarthost: "mail.test:587"`,
		"alertmanager/mail.tmpl":        `pgo.subject`,
		"alertmanager/smtp_password":    ``,
		"exporters/mysqld-exporter.cnf": "host=mysql\nport=3306\nuser=monitor\npassword=a-password",
		"exporters/redis-exporter.json": `"redis://redis:6379":"a-password"`,
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), want) || strings.Contains(string(text), "${") {
			t.Errorf("%s: %v, no %q in\n%s", name, err, want, text)
		}
	}
}
