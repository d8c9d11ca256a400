package delivery_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// arrives waits for a message with all parts.
func arrives(t *testing.T, what string, in *inbox, parts ...string) string {
	t.Helper()
	var found string
	eventually(t, what, func() error {
		m, of := in.with(parts...)
		if m == "" {
			return fmt.Errorf("none of %d messages has %q", of, parts)
		}
		found = m
		return nil
	})
	return found
}

func TestAlertsArriveAndResolve(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for alerts to arrive and resolve")
	}
	s := newStack(t)

	// Critical: on both ways, in both languages, with the runbook.
	s.exporter.export(`pgo_bootcheck_server_up{server="MySQL"} 0`)
	arrives(t, "the group is told of MySQL", s.group, "告警 1 · MySQLDown", "MySQL 无响应", "CST", "https://runbooks.test/MySQLDown.md", "https://grafana.test/d/pgo-data")
	mail := arrives(t, "the person on call gets a mail", s.mail, "[FIRING 1] MySQLDown", "MySQL is down", " CST", "https://runbooks.test/MySQLDown.md", "https://grafana.test/d/pgo-data", "Rcpt: oncall@pgo.test")
	t.Logf("the mail:\n%s", mail)

	// What MySQL's absence explains stays quiet: it would be the third line here.
	s.exporter.export(`pgo_bootcheck_server_up{server="MySQL"} 0`, `pgo_config_last_reload_successful{service="task"} 0`,
		`go_sql_in_use_connections{service="user"} 30`, `go_sql_max_open_connections{service="user"} 30`)
	arrives(t, "the group is told of a configuration", s.group, "ConfigReloadFailed")
	if m, _ := s.group.with("DBPoolFull"); m != "" {
		t.Errorf("the full pool is told although MySQL is down: %s", m)
	}
	// A warning sends no mail.
	if m, _ := s.mail.with("ConfigReloadFailed"); m != "" {
		t.Errorf("a warning goes out by mail: %s", m)
	}

	s.exporter.export(`pgo_bootcheck_server_up{server="MySQL"} 1`)
	arrives(t, "the group is told that MySQL is back", s.group, "恢复 · MySQLDown")
	arrives(t, "the person on call is told that MySQL is back", s.mail, "[RESOLVED] MySQLDown")

	// No message arrives while the watchdog fires; all receivers get one when it stops.
	if m, _ := s.group.with("Watchdog"); m != "" {
		t.Errorf("the watchdog is told as an alert: %s", m)
	}
	if m, _ := s.group.with("未收到心跳"); m != "" {
		t.Errorf("the dead-man receiver complains while the watchdog works: %s", m)
	}
	s.prometheus.stop()
	arrives(t, "the group is told that Prometheus is down", s.group, "未收到心跳")
}

// An alert without a receiver is worse than one sent twice: every severity has a receiver.
func TestRoutes(t *testing.T) {
	tests := []struct {
		name   string
		labels []string
		want   string
	}{
		{"critical", []string{"alertname=MySQLDown", "severity=critical"}, "chat-and-mail"},
		{"warning", []string{"alertname=HostCPUHigh", "severity=warning"}, "chat"},
		{"no severity", []string{"alertname=SomebodysOwn"}, "chat"},
		{"the watchdog", []string{"alertname=Watchdog", "severity=none"}, "watchdog"},
		{"none", []string{"alertname=Other", "severity=none"}, "nobody"},
	}
	config := filepath.Join(t.TempDir(), "alertmanager.yml")
	write(t, config, fill(t, read(t, "deploy/alertmanager/alertmanager.yml.template"), map[string]string{
		"SMTP_SMARTHOST": "mail.test:587", "SMTP_FROM": "alerts@pgo.test", "SMTP_TO": "oncall@pgo.test", "SMTP_USERNAME": "pgo", "SMTP_REQUIRE_TLS": "true",
		"SMTP_PASSWORD_FILE": "/run/secrets/smtp_password", "ALERTMANAGER_ETC": filepath.Dir(config), "WECOM_HTTP": "wecom:9096",
		"GROUP_WAIT": "30s", "GROUP_WAIT_CRITICAL": "10s", "GROUP_INTERVAL": "5m", "WATCHDOG_INTERVAL": "1m",
	}))
	write(t, filepath.Join(filepath.Dir(config), "mail.tmpl"), read(t, "deploy/alertmanager/mail.tmpl"))
	if out, err := exec.Command(installed(t, "amtool"), "check-config", config).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			out, err := exec.Command("amtool", append([]string{"config", "routes", "test", "--config.file", config}, tc.labels...)...).Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != tc.want {
				t.Errorf("goes to %s (%v), want %s", got, err, tc.want)
			}
		})
	}
}

// The cause is sent and its effects are not: alerts with these labels, while the cause fires.
func TestCausesInhibitTheirEffects(t *testing.T) {
	tests := []struct {
		name, cause string
		effect      map[string]string
		want        bool
	}{
		{"the broker's own target", "RabbitMQDown", map[string]string{"alertname": "TargetDown", "job": "rabbitmq"}, true},
		{"the broker's queues", "RabbitMQDown", map[string]string{"alertname": "TargetDown", "job": "rabbitmq-queues"}, true},
		{"the broker's queues, missing", "RabbitMQDown", map[string]string{"alertname": "TargetMissing", "job": "rabbitmq-queues"}, true},
		{"another target", "RabbitMQDown", map[string]string{"alertname": "TargetDown", "job": "mysql"}, false},
		{"MySQL's target", "MySQLDown", map[string]string{"alertname": "TargetDown", "job": "mysql"}, true},
		{"a queue without a consumer", "RabbitMQDown", map[string]string{"alertname": "QueueWithoutConsumer"}, true},
	}
	var c struct {
		Rules []struct {
			Source []string `yaml:"source_matchers"`
			Target []string `yaml:"target_matchers"`
			Equal  []string `yaml:"equal"`
		} `yaml:"inhibit_rules"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/alertmanager/alertmanager.yml.template")), &c); err != nil {
		t.Fatal(err)
	}
	matches := func(matchers []string, labels map[string]string) bool {
		for _, text := range matchers {
			m := regexp.MustCompile(`^(\w+)(=~?)"(.*)"$`).FindStringSubmatch(text)
			if m == nil {
				t.Fatalf("%s is not a matcher", text)
			}
			pattern := m[3]
			if m[2] == "=" {
				pattern = regexp.QuoteMeta(pattern)
			}
			if !regexp.MustCompile("^(?:" + pattern + ")$").MatchString(labels[m[1]]) {
				return false
			}
		}
		return true
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := false
			for _, r := range c.Rules {
				got = got || len(r.Equal) == 0 && matches(r.Source, map[string]string{"alertname": tc.cause}) && matches(r.Target, tc.effect)
			}
			if got != tc.want {
				t.Errorf("inhibited: %v", got)
			}
		})
	}
}

func TestPrometheusTakesItsConfiguration(t *testing.T) {
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	rules, err := filepath.Abs(filepath.Join(repository, "deploy", "prometheus", "rules"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, fill(t, read(t, "deploy/prometheus/prometheus.yml.template"), map[string]string{
		"RUNBOOKS_URL": "https://runbooks.test", "GRAFANA_URL": "https://grafana.test", "SCRAPE_INTERVAL": "15s", "PROMETHEUS_RULES": fmt.Sprintf("%q, %q", rules+"/*.yml", rules+"/compose/*.yml"),
		"PROMETHEUS_TARGETS": write(t, filepath.Join(filepath.Dir(config), "targets.json"), `[{"targets": ["node:9100"], "labels": {"job": "node"}}]`),
		"ALERTMANAGER_HTTP":  "alertmanager:9093", "PGO_HTTP": "runtime:9900", "BOOTCHECK_HTTP": "runtime:8090", "RABBITMQ_METRICS": "rabbitmq:15692",
	}))
	if out, err := exec.Command(installed(t, "promtool"), "check", "config", config).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
