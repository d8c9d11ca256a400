package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/template"
)

// WriteContainerFiles writes the files that the monitoring's containers mount into the directories prometheus, alertmanager and
// exporters of dir: with links to Grafana at the URL grafana, and with times of zone. Other users can read the files: dir must be
// in a directory that is closed to them.
func WriteContainerFiles(co checkout.Checkout, dir, grafana, zone string) error {
	if err := errors.Join(
		writeContainerPrometheus(co, dir, grafana), writeContainerAlertmanager(co, dir), writeZone(filepath.Join(dir, "alertmanager"), zone), writeContainerExporters(co, dir),
	); err != nil {
		return fmt.Errorf("write the monitoring's files: %w", err)
	}
	return nil
}

// containerTargets returns the containers that Prometheus scrapes, by job, beside those in its configuration.
func containerTargets() map[string]string {
	return map[string]string{
		"prometheus": "prometheus:9090", "alertmanager": "alertmanager:9093", "wecom": "wecom:9096", "node": "node-exporter:9100",
		"mysql": "mysqld-exporter:9104", "redis": "redis-exporter:9121", "gateway": "gateway:9113", "cadvisor": "cadvisor:8080", "engine": "engine-proxy:9097",
		"loki": "loki:3100", "otelcol": "otelcol:8888", "jaeger": "jaeger:8888", "grafana": "grafana:3000",
	}
}

func writeContainerPrometheus(co checkout.Checkout, dir, grafana string) error {
	targets := []target{}
	for job, addr := range containerTargets() {
		targets = append(targets, target{[]string{addr}, map[string]string{"job": job}})
	}
	text, err := json.Marshal(targets)
	if err != nil {
		return err
	}
	if err := writePublic(filepath.Join(dir, "prometheus"), "targets.json", string(text)); err != nil {
		return err
	}
	text, err = readTemplate(co, "prometheus", "prometheus.yml")
	if err != nil {
		return err
	}
	values := alertLinks(co, grafana)
	if err := writePublic(filepath.Join(dir, "prometheus"), "links.yml", linkRules(values["RUNBOOKS_URL"])); err != nil {
		return err
	}
	maps.Copy(values, map[string]string{
		"SCRAPE_INTERVAL": readSetting("SCRAPE_INTERVAL", "15s"), "PROMETHEUS_RULES": `"/etc/rules/*.yml", "/etc/rules/compose/*.yml", "/etc/monitoring/links.yml"`,
		"PROMETHEUS_TARGETS": "/etc/monitoring/targets.json",
		"ALERTMANAGER_HTTP":  "alertmanager:9093", "PGO_HTTP": "runtime:9900", "BOOTCHECK_HTTP": "runtime:8090", "RABBITMQ_METRICS": "rabbitmq:15692",
	})
	filled, err := template.Fill("prometheus.yml", string(text), values)
	if err != nil {
		return err
	}
	return writePublic(filepath.Join(dir, "prometheus"), "prometheus.yml", filled)
}

func writeContainerAlertmanager(co checkout.Checkout, dir string) error {
	password, err := co.ReadSecret("smtp_password")
	if err != nil {
		password = "" // an operator sets it; it may be missing
	}
	values := mailSettings("/etc/monitoring/smtp_password", "/etc/monitoring")
	values["WECOM_HTTP"] = "wecom:9096"
	config, mail, err := alertmanagerConfig(co, values)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"alertmanager.yml": config, "mail.tmpl": mail, "smtp_password": password} {
		if err := writePublic(filepath.Join(dir, "alertmanager"), name, text); err != nil {
			return err
		}
	}
	return nil
}

func writeContainerExporters(co checkout.Checkout, dir string) error {
	client, err := mysqlClient(co, "mysql", 3306)
	if err != nil {
		return err
	}
	passwords, err := redisPasswords(co, "redis:6379")
	if err != nil {
		return err
	}
	if err := writePublic(filepath.Join(dir, "exporters"), "mysqld-exporter.cnf", client); err != nil {
		return err
	}
	return writePublic(filepath.Join(dir, "exporters"), "redis-exporter.json", passwords)
}

// writePublic writes a file that a container of another user may read.
func writePublic(dir, name, text string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, name), []byte(text), 0o444, renameio.IgnoreUmask())
}
