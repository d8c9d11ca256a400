package compose

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"pgo/deploy/stack/internal/monitoring"
)

const grafanaHTTP = 3000

// hasMonitoring reports whether the monitoring's profile is selected.
func (v settings) hasMonitoring() bool {
	return slices.Contains(strings.Split(v.values["COMPOSE_PROFILES"], ","), "monitoring")
}

// resolveMonitoring sets Grafana's port and the endpoint for spans, the collector's unless another one is set.
func resolveMonitoring(values map[string]string) {
	offset, _ := strconv.Atoi(values["PORT_OFFSET"]) // resolvePorts has refused other values
	values["PGO_GRAFANA_HTTP"] = strconv.Itoa(grafanaHTTP + offset)
	if values["PGO_TRACING_ENDPOINT"] == "" && (settings{values: values}).hasMonitoring() {
		values["PGO_TRACING_ENDPOINT"] = "http://otelcol:4318"
	}
}

// findSocketGroup returns the number of the group that may use the engine's socket.
func findSocketGroup(socket string) (string, error) {
	info, err := os.Stat(socket)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&os.ModeSocket == 0 {
		return "", fmt.Errorf("%s is not a socket", socket)
	}
	return strconv.FormatUint(uint64(stat.Gid), 10), nil
}

// writeMonitoring writes the files that deploy/monitor/compose.yml mounts.
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
	if err := s.copyProgram("engineproxy", s.dockerPath("engine", "engineproxy")); err != nil {
		return err
	}
	// Docker would create it as root.
	if err := makeOwnedDir(s.dockerPath("runtime", "logs"), v.owner); err != nil {
		return err
	}
	return monitoring.WriteContainerFiles(s.Checkout, s.dockerPath("monitoring"), "http://127.0.0.1:"+v.values["PGO_GRAFANA_HTTP"], v.values["PGO_ALERTS_TZ"])
}
