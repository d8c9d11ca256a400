package checkout

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// portSpec describes a port of the stack: its key in the env file and its preferred number.
type portSpec struct {
	key         string
	preferred   int
	isPublished bool // people and programs outside of the stack use its number
	purpose     string
	// isOptional allows another free port if a published one is busy. Its program may not be installed, and must not make the
	// others fail.
	isOptional bool
}

func portSpecs() []portSpec {
	specs := []portSpec{
		{key: "GATEWAY_HTTP", preferred: 8080, isPublished: true, purpose: "the gateway"},
		{key: "GATEWAY_HTTPS", preferred: 8443, isPublished: true, purpose: "the gateway's HTTPS"},
		{key: "BOOTCHECK_HTTP", preferred: 8090, isPublished: true, purpose: "bootcheck"},
		{key: "PGO_HTTP", preferred: 9900, isPublished: true, purpose: "pgo's own HTTP"},
		{key: "RABBITMQ_API", preferred: 15672, isPublished: true, purpose: "RabbitMQ's management"},
		{key: "PROMETHEUS_HTTP", preferred: 9090, isPublished: true, purpose: "Prometheus"},
		{key: "ALERTMANAGER_HTTP", preferred: 9093, isPublished: true, purpose: "Alertmanager"},
		{key: "GRAFANA_HTTP", preferred: 3000, isPublished: true, purpose: "Grafana", isOptional: true},
		{key: "LOKI_HTTP", preferred: 3100, isPublished: true, purpose: "Loki", isOptional: true},
		{key: "JAEGER_HTTP", preferred: 16686, isPublished: true, purpose: "Jaeger", isOptional: true},
		{key: "MYSQL_ADDR", preferred: 13306, purpose: "MySQL"},
		{key: "REDIS_ADDR", preferred: 16379, purpose: "Redis"},
		{key: "RABBITMQ_ADDR", preferred: 15673, purpose: "RabbitMQ"},
		{key: "RABBITMQ_DIST_PORT", preferred: 15674, purpose: "Erlang's distribution"},
		{key: "EPMD_PORT", preferred: 14369, purpose: "epmd"},
		{key: "RABBITMQ_METRICS", preferred: 15692, purpose: "RabbitMQ's metrics"},
		{key: "GATEWAY_STATUS", preferred: 8099, purpose: "the gateway's counters"},
		{key: "WECOM_HTTP", preferred: 9096, purpose: "the WeCom bridge"},
		{key: "NODE_EXPORTER", preferred: 9100, purpose: "node-exporter"},
		{key: "MYSQLD_EXPORTER", preferred: 9104, purpose: "mysqld-exporter"},
		{key: "NGINX_EXPORTER", preferred: 9113, purpose: "nginx-exporter"},
		{key: "REDIS_EXPORTER", preferred: 9121, purpose: "redis-exporter"},
		{key: "LOKI_GRPC", preferred: 9095, purpose: "Loki's own calls"},
		{key: "OTELCOL_HTTP", preferred: 4318, purpose: "the collector"},
		{key: "OTELCOL_HEALTH", preferred: 13133, purpose: "the collector's health"},
		{key: "OTELCOL_METRICS", preferred: 8888, purpose: "the collector's metrics"},
		{key: "JAEGER_OTLP", preferred: 4328, purpose: "Jaeger's spans"},
		{key: "JAEGER_GRPC", preferred: 16685, purpose: "Jaeger's gRPC"},
		{key: "JAEGER_HEALTH", preferred: 13134, purpose: "Jaeger's health"},
		{key: "JAEGER_METRICS", preferred: 8889, purpose: "Jaeger's metrics"},
	}
	for _, s := range Services() {
		specs = append(specs, portSpec{key: s.AddressKey(), preferred: s.Port, isPublished: true, purpose: s.Name})
	}
	return specs
}

const lastPort = 65535

// BusyPortError reports that another program listens on a published port.
type BusyPortError struct {
	Port    int
	Purpose string // the part of the stack that needs it
	Holder  string // "" if it is unknown
}

func (e *BusyPortError) Error() string {
	holder := "another program"
	if e.Holder != "" {
		holder = e.Holder
	}
	return fmt.Sprintf("port %d for %s is held by %s: stop that, or move every port, for example with PORT_OFFSET=1000", e.Port, e.Purpose, holder)
}

// Ports maps keys of the env file to port numbers.
type Ports map[string]int

// parsePorts returns the valid port numbers of an env file's values.
func parsePorts(env map[string]string) Ports {
	p := Ports{}
	for _, s := range portSpecs() {
		value := env[s.key]
		if n, err := strconv.Atoi(value[strings.LastIndexByte(value, ':')+1:]); err == nil && n > 0 && n <= lastPort {
			p[s.key] = n
		}
	}
	return p
}

// choosePorts keeps the infra ports of kept that are free and chooses new ones for the others. A published port is its preferred
// number plus offset, unless it is optional. holder returns the process that listens on a port. It returns a *BusyPortError for a
// published port that another program holds.
func choosePorts(kept Ports, offset int, holder func(port int) PortHolder) (Ports, error) {
	chosen, used := Ports{}, map[int]bool{}
	for _, s := range portSpecs() {
		if !s.isPublished {
			continue
		}
		port := s.preferred + offset
		if port < 1 || port > lastPort {
			return nil, fmt.Errorf("PORT_OFFSET=%d puts %s on port %d, which is not a port", offset, s.purpose, port)
		}
		if h := holder(port); h.IsBusy && !h.BelongsToHome {
			if s.isOptional {
				continue
			}
			return nil, &BusyPortError{Port: port, Purpose: s.purpose, Holder: h.Description}
		}
		chosen[s.key], used[port] = port, true
	}
	for _, s := range portSpecs() {
		if _, ok := chosen[s.key]; ok {
			continue
		}
		candidates := []int{}
		if k, ok := kept[s.key]; ok {
			candidates = append(candidates, k)
		}
		for i := range 1000 {
			// Steps of 10 keep the servers' candidates apart, whose preferred numbers are neighbours.
			candidates = append(candidates, (s.preferred+offset+10*i-1)%lastPort+1)
		}
		port, err := findFreePort(candidates, used, holder)
		if err != nil {
			return nil, fmt.Errorf("find a port for %s: %w", s.purpose, err)
		}
		chosen[s.key], used[port] = port, true
	}
	return chosen, nil
}

func findFreePort(candidates []int, used map[int]bool, holder func(int) PortHolder) (int, error) {
	for _, port := range candidates {
		if port < 1024 || used[port] {
			continue
		}
		if h := holder(port); !h.IsBusy || h.BelongsToHome {
			return port, nil
		}
	}
	return 0, fmt.Errorf("none of %d candidates is free", len(candidates))
}

// isPortBusy reports whether 127.0.0.1:port cannot be listened on.
func isPortBusy(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return true
	}
	l.Close()
	return false
}
