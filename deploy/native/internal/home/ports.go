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
}

func portSpecs() []portSpec {
	specs := []portSpec{
		{"GATEWAY_HTTP", 8080, true, "the gateway"},
		{"GATEWAY_HTTPS", 8443, true, "the gateway's HTTPS"},
		{"BOOTCHECK_HTTP", 8090, true, "bootcheck"},
		{"PGO_HTTP", 9900, true, "pgo's own HTTP"},
		{"RABBITMQ_API", 15672, true, "RabbitMQ's management"},
		{"PROMETHEUS_HTTP", 9090, true, "Prometheus"},
		{"ALERTMANAGER_HTTP", 9093, true, "Alertmanager"},
		{"MYSQL_ADDR", 13306, false, "MySQL"},
		{"REDIS_ADDR", 16379, false, "Redis"},
		{"RABBITMQ_ADDR", 15673, false, "RabbitMQ"},
		{"RABBITMQ_DIST_PORT", 15674, false, "Erlang's distribution"},
		{"EPMD_PORT", 14369, false, "epmd"},
		{"RABBITMQ_METRICS", 15692, false, "RabbitMQ's metrics"},
		{"GATEWAY_STATUS", 8099, false, "the gateway's counters"},
		{"WECOM_HTTP", 9096, false, "the WeCom bridge"},
		{"NODE_EXPORTER", 9100, false, "node-exporter"},
		{"MYSQLD_EXPORTER", 9104, false, "mysqld-exporter"},
		{"NGINX_EXPORTER", 9113, false, "nginx-exporter"},
		{"REDIS_EXPORTER", 9121, false, "redis-exporter"},
	}
	for _, s := range Services() {
		specs = append(specs, portSpec{s.AddrKey(), s.Port, true, s.Name})
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
// never another than its number plus offset. holder says who listens on a port: nobody, somebody or ours.
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
			return nil, &BusyPortError{Port: port, What: s.what, Holder: h.Who}
		}
		chosen[s.key], used[port] = port, true
	}
	for _, s := range portSpecs() {
		if s.published {
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
