package compose

import (
	"slices"
	"strconv"
	"strings"

	"pgo/deploy/stack/internal/monitoring"
)

const grafanaHTTP = 3000

// monitored says whether the profile is asked for.
func (v settings) monitored() bool {
	return slices.Contains(strings.Split(v.values["COMPOSE_PROFILES"], ","), "monitoring")
}

// settleMonitoring gives Grafana its port, and has the services send their spans to the collector that is there.
func settleMonitoring(values map[string]string) {
	offset, _ := strconv.Atoi(values["PORT_OFFSET"]) // settlePorts has refused what is no number
	values["PGO_GRAFANA_HTTP"] = strconv.Itoa(grafanaHTTP + offset)
	if values["PGO_TRACING_ENDPOINT"] == "" && (settings{values: values}).monitored() {
		values["PGO_TRACING_ENDPOINT"] = "http://otelcol:4318"
	}
}

// writeMonitoring writes what deploy/monitor/compose.yml mounts.
func (s Stack) writeMonitoring(v settings) error {
	if !v.monitored() {
		return nil
	}
	password, err := s.Checkout.ReadSecret("grafana_password")
	if err != nil {
		return err
	}
	if err := put(s.path("secrets", "grafana"), "grafana_password", password); err != nil {
		return err
	}
	// Docker would make it root's.
	if err := makeOwned(s.path("runtime", "logs"), v.owner); err != nil {
		return err
	}
	return monitoring.Containers(s.Checkout, s.path("monitoring"))
}
