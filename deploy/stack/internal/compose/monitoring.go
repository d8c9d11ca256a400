package compose

import (
	"slices"
	"strconv"
	"strings"

	"pgo/deploy/stack/internal/monitoring"
)

const grafanaHTTP = 3000

// hasMonitoring says whether the profile is asked for.
func (v settings) hasMonitoring() bool {
	return slices.Contains(strings.Split(v.values["COMPOSE_PROFILES"], ","), "monitoring")
}

// resolveMonitoring gives Grafana its port, and has the services send their spans to the collector that is there.
func resolveMonitoring(values map[string]string) {
	offset, _ := strconv.Atoi(values["PORT_OFFSET"]) // resolvePorts has refused what is no number
	values["PGO_GRAFANA_HTTP"] = strconv.Itoa(grafanaHTTP + offset)
	if values["PGO_TRACING_ENDPOINT"] == "" && (settings{values: values}).hasMonitoring() {
		values["PGO_TRACING_ENDPOINT"] = "http://otelcol:4318"
	}
}

// writeMonitoring writes what deploy/monitor/compose.yml mounts.
func (s Stack) writeMonitoring(v settings) error {
	if !v.hasMonitoring() {
		return nil
	}
	password, err := s.Checkout.ReadSecret("grafana_password")
	if err != nil {
		return err
	}
	if err := writePublic(s.dockerPath("secrets", "grafana"), "grafana_password", password); err != nil {
		return err
	}
	// Docker would make it root's.
	if err := makeOwnedDir(s.dockerPath("runtime", "logs"), v.owner); err != nil {
		return err
	}
	return monitoring.WriteContainerFiles(s.Checkout, s.dockerPath("monitoring"))
}
