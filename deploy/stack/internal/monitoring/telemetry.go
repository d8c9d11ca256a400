package monitoring

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"pgo/deploy/stack/internal/checkout"
	"pgo/pkg/testing/localserver"
)

// telemetryParts returns the parts that no distribution packages. They run if their programs are on the PATH, with the files
// that the containers mount; differences are passed as environment variables.
func telemetryParts() []Part {
	return []Part{
		{Name: "loki", Programs: []string{"loki"}, Package: "loki", Addr: "LOKI_HTTP", Job: "loki", args: lokiArgs, env: lokiEnv, needs: []string{"LOKI_HTTP", "LOKI_GRPC"}},
		{Name: "jaeger", Programs: []string{"jaeger"}, Package: "jaeger", Addr: "JAEGER_METRICS", Job: "jaeger", args: jaegerArgs, env: jaegerEnv,
			needs: []string{"JAEGER_HTTP", "JAEGER_OTLP", "JAEGER_GRPC", "JAEGER_HEALTH", "JAEGER_METRICS"}},
		{Name: collector, Programs: []string{"otelcol-contrib", "otelcol"}, Package: "otelcol-contrib", Addr: "OTELCOL_METRICS", Job: "otelcol", args: otelcolArgs, env: otelcolEnv,
			needs: []string{"OTELCOL_HTTP", "OTELCOL_HEALTH", "OTELCOL_METRICS", "LOKI_HTTP", "JAEGER_OTLP"}},
		{Name: "grafana", Programs: []string{"grafana", "grafana-server"}, Package: "grafana", Addr: "GRAFANA_HTTP", Job: "grafana", args: noValues, env: grafanaEnv, adapt: startGrafana,
			needs: []string{"GRAFANA_HTTP", "PROMETHEUS_HTTP", "ALERTMANAGER_HTTP", "LOKI_HTTP", "JAEGER_HTTP"}},
	}
}

const collector = "otelcol"

// TracingEndpoint returns the endpoint that services send their spans to: asked if it is set, else the collector's if it is
// installed, else "". "off" turns tracing off.
func TracingEndpoint(asked string, co checkout.Checkout, env map[string]string, programs localserver.Programs) string {
	switch asked {
	case "off":
		return ""
	case "":
		if part, ok := Find(collector); ok && part.FindProgram(co, programs) != "" {
			return "http://" + env["OTELCOL_HTTP"]
		}
	}
	return asked
}

// port returns an address's port, or "" if it has none, which PrepareCommand has refused before.
func port(addr string) string {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return p
}

// limit returns a memory limit for Go's garbage collector, below the limit of the part's container.
func limit(mebibytes int) string { return fmt.Sprintf("GOMEMLIMIT=%dMiB", mebibytes*9/10) }

func lokiArgs(co checkout.Checkout, _ map[string]string) []string {
	return []string{"-config.file=" + filepath.Join(co.Root, "deploy", "loki", "loki.yaml"), "-config.expand-env=true"}
}

func lokiEnv(co checkout.Checkout, env map[string]string) []string {
	return []string{
		"LOKI_LISTEN=127.0.0.1", "LOKI_PORT=" + port(env["LOKI_HTTP"]), "LOKI_GRPC_PORT=" + port(env["LOKI_GRPC"]),
		"LOKI_DATA=" + co.Path("data", "loki"), limit(512),
	}
}

func jaegerArgs(co checkout.Checkout, _ map[string]string) []string {
	return []string{"--config=" + filepath.Join(co.Root, "deploy", "jaeger", "jaeger.yaml")}
}

func jaegerEnv(co checkout.Checkout, env map[string]string) []string {
	return []string{
		"JAEGER_LISTEN=127.0.0.1", "JAEGER_UI_PORT=" + port(env["JAEGER_HTTP"]), "JAEGER_OTLP_PORT=" + port(env["JAEGER_OTLP"]),
		"JAEGER_GRPC_PORT=" + port(env["JAEGER_GRPC"]), "JAEGER_METRICS_PORT=" + port(env["JAEGER_METRICS"]),
		"JAEGER_HEALTH=" + env["JAEGER_HEALTH"], "JAEGER_DATA=" + co.Path("data", "jaeger"), limit(512),
		"OTEL_TRACES_SAMPLER=always_off", // its own spans have no receiver
	}
}

func otelcolArgs(co checkout.Checkout, _ map[string]string) []string {
	return []string{"--config=" + filepath.Join(co.Root, "deploy", "otelcol", "config.yaml")}
}

func otelcolEnv(co checkout.Checkout, env map[string]string) []string {
	return []string{
		"OTELCOL_HTTP=" + env["OTELCOL_HTTP"], "OTELCOL_HEALTH=" + env["OTELCOL_HEALTH"],
		"OTELCOL_METRICS_HOST=127.0.0.1", "OTELCOL_METRICS_PORT=" + port(env["OTELCOL_METRICS"]),
		"OTELCOL_DATA=" + co.Path("data", collector), "PGO_LOGS=" + co.Path("logs"),
		"CONTAINER_LOGS=" + co.Path("logs", "no-containers"),                                                                 // other containers of this machine are not read
		"LOKI_OTLP=http://" + env["LOKI_HTTP"] + "/otlp", "JAEGER_OTLP=http://" + env["JAEGER_OTLP"], limit(256), "GOGC=300", // its live heap is small: the garbage collector may run less often
	}
}

func grafanaEnv(co checkout.Checkout, env map[string]string) []string {
	kit := filepath.Join(co.Root, "deploy", "grafana")
	return []string{
		"GF_SERVER_HTTP_ADDR=127.0.0.1", "GF_SERVER_HTTP_PORT=" + port(env["GRAFANA_HTTP"]),
		"GF_PATHS_DATA=" + co.Path("data", "grafana"), "GF_PATHS_LOGS=" + co.Path("data", "grafana", "log"), "GF_PATHS_PLUGINS=" + co.Path("data", "grafana", "plugins"),
		"GF_PATHS_PROVISIONING=" + filepath.Join(kit, "provisioning"), "BOARDS=" + filepath.Join(kit, "boards"),
		"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH=" + filepath.Join(kit, "boards", "Start", "pgo-overview.json"),
		"GF_SECURITY_ADMIN_PASSWORD=$__file{" + co.Path("secrets", "grafana_password") + "}", "GRAFANA_PASSWORD_FILE=" + co.Path("secrets", "grafana_password"),
		"PROMETHEUS_URL=http://" + env["PROMETHEUS_HTTP"], "ALERTMANAGER_URL=http://" + env["ALERTMANAGER_HTTP"],
		"LOKI_URL=http://" + env["LOKI_HTTP"], "JAEGER_URL=http://" + env["JAEGER_HTTP"], limit(384),
	}
}

// startGrafana makes command start Grafana through the script that keeps the administrator's password current. It finds the
// directory of Grafana's files: its archive's, or the one of its packages.
func startGrafana(co checkout.Checkout, command *localserver.Command) error {
	file, err := filepath.EvalSymlinks(command.Path)
	if err != nil {
		return err
	}
	homes := []string{filepath.Dir(filepath.Dir(file)), "/usr/share/grafana"}
	at := slices.IndexFunc(homes, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "conf", "defaults.ini"))
		return err == nil
	})
	if at < 0 {
		return fmt.Errorf("find Grafana's own files: no conf/defaults.ini in %s or %s", homes[0], homes[1])
	}
	kit := filepath.Join(co.Root, "deploy", "grafana")
	config := filepath.Join(kit, "grafana.ini")
	server := []string{command.Path}
	if filepath.Base(command.Path) == "grafana" {
		server = append(server, "server")
	}
	command.Env = append(command.Env, "GF_PATHS_HOME="+homes[at], "GF_PATHS_CONFIG="+config, "GRAFANA="+filepath.Join(filepath.Dir(command.Path), "grafana"))
	command.Args = slices.Concat([]string{filepath.Join(kit, "start.sh")}, server, []string{"--homepath=" + homes[at], "--config=" + config})
	command.Path = "/bin/sh"
	return nil
}
