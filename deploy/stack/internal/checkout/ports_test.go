package checkout

import (
	"errors"
	"maps"
	"net"
	"strings"
	"testing"
)

func TestChoosePorts(t *testing.T) {
	defaults := Ports{"GATEWAY_HTTP": 8080, "GATEWAY_HTTPS": 8443, "USER_HTTP": 8081, "SCHOOL_HTTP": 8082, "TASK_HTTP": 8083, "BOOTCHECK_HTTP": 8090, "PGO_HTTP": 9900,
		"RABBITMQ_API": 15672, "MYSQL_ADDR": 13306, "REDIS_ADDR": 16379, "RABBITMQ_ADDR": 15673, "RABBITMQ_DIST_PORT": 15674, "EPMD_PORT": 14369,
		"PROMETHEUS_HTTP": 9090, "ALERTMANAGER_HTTP": 9093, "RABBITMQ_METRICS": 15692, "GATEWAY_STATUS": 8099, "WECOM_HTTP": 9096,
		"NODE_EXPORTER": 9100, "MYSQLD_EXPORTER": 9104, "NGINX_EXPORTER": 9113, "REDIS_EXPORTER": 9121,
		"GRAFANA_HTTP": 3000, "LOKI_HTTP": 3100, "JAEGER_HTTP": 16686, "LOKI_GRPC": 9095, "OTELCOL_HTTP": 4318, "OTELCOL_HEALTH": 13133,
		"OTELCOL_METRICS": 8888, "JAEGER_OTLP": 4328, "JAEGER_GRPC": 16685, "JAEGER_HEALTH": 13134, "JAEGER_METRICS": 8889}
	with := func(change Ports) Ports {
		p := maps.Clone(defaults)
		maps.Copy(p, change)
		return p
	}
	moved := Ports{}
	for key, port := range defaults {
		moved[key] = port + 1000
	}
	other, ours := PortHolder{IsBusy: true, Description: "nginx (pid 7)"}, PortHolder{IsBusy: true, BelongsToHome: true}
	tests := []struct {
		name   string
		kept   Ports
		offset int
		busy   map[int]PortHolder
		want   Ports
		fails  string
	}{
		{name: "a fresh machine", want: defaults},
		{name: "an offset", offset: 1000, want: moved},
		{name: "a kept infra port", kept: Ports{"MYSQL_ADDR": 14000}, want: with(Ports{"MYSQL_ADDR": 14000})},
		{name: "a kept published port follows the offset", kept: Ports{"GATEWAY_HTTP": 9999}, want: defaults},
		{name: "another server has the infra port", busy: map[int]PortHolder{13306: other, 13316: other}, want: with(Ports{"MYSQL_ADDR": 13326})},
		{name: "a kept infra port is busy", kept: Ports{"REDIS_ADDR": 14000}, busy: map[int]PortHolder{14000: other}, want: defaults},
		{name: "this home's server has its port", kept: defaults, busy: map[int]PortHolder{13306: ours, 8080: ours}, want: defaults},
		{name: "a published port is busy", busy: map[int]PortHolder{8080: other}, fails: "port 8080 for the gateway is held by nginx (pid 7)"},
		{name: "an optional part's port is busy", busy: map[int]PortHolder{3000: other, 3010: other}, want: with(Ports{"GRAFANA_HTTP": 3020})},
		{name: "a service's port is busy", busy: map[int]PortHolder{8083: other}, fails: "port 8083 for task is held by nginx (pid 7)"},
		{name: "an unknown program has the port", busy: map[int]PortHolder{8081: {IsBusy: true}}, fails: "held by another program"},
		{name: "an offset too far", offset: 60000, fails: "which is not a port"},
		{name: "a negative offset", offset: -8080, fails: "which is not a port"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := choosePorts(tc.kept, tc.offset, func(port int) PortHolder { return tc.busy[port] })
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Fatalf("error %v, want %q", err, tc.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestFindHolderNamesProgram(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	co := Checkout{Root: "/r", Home: "/r/.pgo"}
	if got := co.FindHolder(port); !got.IsBusy || got.BelongsToHome || !strings.Contains(got.Description, "checkout.test") {
		t.Errorf("got %+v", got)
	}
	l.Close()
	if got := co.FindHolder(port); got.IsBusy {
		t.Errorf("after closing: %+v", got)
	}
}

func TestChooseAddressesKeepsChoice(t *testing.T) {
	co := Checkout{Root: t.TempDir(), Home: t.TempDir()}
	// The ports are far from those of a running stack and below the range that tests choose from.
	first, err := co.ChooseAddresses("2500", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := co.ChooseAddresses("2500", "", nil)
	if err != nil || !maps.Equal(first, second) {
		t.Errorf("first %v, then %v, %v", first, second, err)
	}
	more, err := co.ChooseAddresses("2500", "", func(env map[string]string) { env["MORE"] = env["LOKI_HTTP"] })
	if written, readErr := co.ReadEnv(); err != nil || readErr != nil || more["MORE"] == "" || written["MORE"] != more["MORE"] {
		t.Errorf("with more: %v, %v, written %v, %v", more, err, written, readErr)
	}
	for key, want := range map[string]string{"PGO_HOME": co.Home, "PGO_ENV": "dev", "GATEWAY_HTTP": "127.0.0.1:10580", "RABBITMQ_API": "http://127.0.0.1:18172"} {
		if second[key] != want {
			t.Errorf("%s=%s, want %s", key, second[key], want)
		}
	}
	if _, err := co.ChooseAddresses("1e3", "", nil); err == nil {
		t.Error("an offset that is not a number was accepted")
	}

	l, err := net.Listen("tcp", "127.0.0.1:10580")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var busy *BusyPortError
	if _, err := co.ChooseAddresses("2500", "", nil); !errors.As(err, &busy) || busy.Port != 10580 {
		t.Errorf("with the gateway's port taken: %v", err)
	}
}
