package home

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// portSpec is one port of the stack: the key it has in the env file and the number it has by default.
type portSpec struct {
	key       string
	preferred int
	published bool // people and programs outside of the stack know its number
	what      string
	// Of a published port: where somebody else has it, the next free one does. It is one of a program that may not even be here,
	// for which nothing else shall fail.
	optional bool
}

func portSpecs() []portSpec {
	specs := []portSpec{
		{key: "GATEWAY_HTTP", preferred: 8080, published: true, what: "the gateway"},
		{key: "GATEWAY_HTTPS", preferred: 8443, published: true, what: "the gateway's HTTPS"},
		{key: "BOOTCHECK_HTTP", preferred: 8090, published: true, what: "bootcheck"},
		{key: "PGO_HTTP", preferred: 9900, published: true, what: "pgo's own HTTP"},
		{key: "RABBITMQ_API", preferred: 15672, published: true, what: "RabbitMQ's management"},
		{key: "PROMETHEUS_HTTP", preferred: 9090, published: true, what: "Prometheus"},
		{key: "ALERTMANAGER_HTTP", preferred: 9093, published: true, what: "Alertmanager"},
		{key: "GRAFANA_HTTP", preferred: 3000, published: true, what: "Grafana", optional: true},
		{key: "LOKI_HTTP", preferred: 3100, published: true, what: "Loki", optional: true},
		{key: "JAEGER_HTTP", preferred: 16686, published: true, what: "Jaeger", optional: true},
		{key: "MYSQL_ADDR", preferred: 13306, what: "MySQL"},
		{key: "REDIS_ADDR", preferred: 16379, what: "Redis"},
		{key: "RABBITMQ_ADDR", preferred: 15673, what: "RabbitMQ"},
		{key: "RABBITMQ_DIST_PORT", preferred: 15674, what: "Erlang's distribution"},
		{key: "EPMD_PORT", preferred: 14369, what: "epmd"},
		{key: "RABBITMQ_METRICS", preferred: 15692, what: "RabbitMQ's metrics"},
		{key: "GATEWAY_STATUS", preferred: 8099, what: "the gateway's counters"},
		{key: "WECOM_HTTP", preferred: 9096, what: "the WeCom bridge"},
		{key: "NODE_EXPORTER", preferred: 9100, what: "node-exporter"},
		{key: "MYSQLD_EXPORTER", preferred: 9104, what: "mysqld-exporter"},
		{key: "NGINX_EXPORTER", preferred: 9113, what: "nginx-exporter"},
		{key: "REDIS_EXPORTER", preferred: 9121, what: "redis-exporter"},
		{key: "LOKI_GRPC", preferred: 9095, what: "Loki's own calls"},
		{key: "OTELCOL_HTTP", preferred: 4318, what: "the collector"},
		{key: "OTELCOL_HEALTH", preferred: 13133, what: "the collector's health"},
		{key: "OTELCOL_METRICS", preferred: 8888, what: "the collector's metrics"},
		{key: "JAEGER_OTLP", preferred: 4328, what: "Jaeger's spans"},
		{key: "JAEGER_GRPC", preferred: 16685, what: "Jaeger's gRPC"},
		{key: "JAEGER_HEALTH", preferred: 13134, what: "Jaeger's health"},
		{key: "JAEGER_METRICS", preferred: 8889, what: "Jaeger's metrics"},
	}
	for _, s := range Services() {
		specs = append(specs, portSpec{key: s.AddrKey(), preferred: s.Port, published: true, what: s.Name})
	}
	return specs
}

const lastPort = 65535

// A BusyPortError says that a published port belongs to somebody else.
type BusyPortError struct {
	Port   int
	What   string // what of ours wants it
	Holder string // "" where it cannot be told
}

func (e *BusyPortError) Error() string {
	holder := "another program"
	if e.Holder != "" {
		holder = e.Holder
	}
	return fmt.Sprintf("port %d, wanted for %s, is held by %s: stop that, or move every port, for example with PORT_OFFSET=1000", e.Port, e.What, holder)
}

// Ports maps the env file's keys to port numbers.
type Ports map[string]int

// ports reads the kept numbers out of an env file's values; what cannot be read is left out.
func ports(env map[string]string) Ports {
	p := Ports{}
	for _, s := range portSpecs() {
		value := env[s.key]
		if n, err := strconv.Atoi(value[strings.LastIndexByte(value, ':')+1:]); err == nil && n > 0 && n <= lastPort {
			p[s.key] = n
		}
	}
	return p
}

// choosePorts keeps the infra ports of kept that are free and looks for new ones for the others. A published port is
// never another than its number plus offset, unless it is optional. holder says who listens on a port: nobody, somebody or ours.
func choosePorts(kept Ports, offset int, holder func(port int) Holder) (Ports, error) {
	chosen, used := Ports{}, map[int]bool{}
	for _, s := range portSpecs() {
		if !s.published {
			continue
		}
		port := s.preferred + offset
		if port < 1 || port > lastPort {
			return nil, fmt.Errorf("PORT_OFFSET=%d puts %s on port %d, which is none", offset, s.what, port)
		}
		if h := holder(port); h.Busy && !h.Ours {
			if s.optional {
				continue
			}
			return nil, &BusyPortError{Port: port, What: s.what, Holder: h.Who}
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
			// Steps of 10 keep the default numbers of the stack's servers from sliding into one another.
			candidates = append(candidates, (s.preferred+offset+10*i-1)%lastPort+1)
		}
		port, err := firstFree(candidates, used, holder)
		if err != nil {
			return nil, fmt.Errorf("find a port for %s: %w", s.what, err)
		}
		chosen[s.key], used[port] = port, true
	}
	return chosen, nil
}

func firstFree(candidates []int, used map[int]bool, holder func(int) Holder) (int, error) {
	for _, port := range candidates {
		if port < 1024 || used[port] {
			continue
		}
		if h := holder(port); !h.Busy || h.Ours {
			return port, nil
		}
	}
	return 0, fmt.Errorf("none of %d candidates is free", len(candidates))
}

// listening tells whether 127.0.0.1:port can not be listened on.
func listening(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return true
	}
	l.Close()
	return false
}
