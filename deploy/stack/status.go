package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"pgo/deploy/stack/internal/certs"
	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/compose"
	"pgo/deploy/stack/internal/monitoring"
	"pgo/pkg/testing/localserver"
)

// processState holds the fields of `pgo list --json` that the table needs.
type processState struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Ready  bool   `json:"ready"`
}

// printStatus prints a table of all parts with their states and addresses.
func printStatus(ctx context.Context, co checkout.Checkout, sys environment) error {
	if readMode(co) == dockerMode {
		return printContainerStatus(ctx, co, sys)
	}
	env, err := co.ReadEnv()
	if err != nil {
		return err
	}
	if len(env) == 0 {
		fmt.Fprintln(sys.stdout, "nothing is set up here: run make up")
		return nil
	}
	states, err := readProcessStates(ctx, co)
	if err != nil {
		return err
	}
	var table []compose.Row
	for _, r := range listRows(co, env) {
		state := ""
		if r.process != "" {
			if state = states[r.process]; state == "" {
				state = "stopped"
			}
		}
		table = append(table, compose.Row{Part: r.part, State: state, Address: r.address})
	}
	return printTable(table, sys)
}

func printTable(table []compose.Row, sys environment) error {
	w := tabwriter.NewWriter(sys.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "PART\tSTATE\tADDRESS")
	for _, r := range table {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Part, r.State, r.Address)
	}
	return w.Flush()
}

type statusRow struct{ part, process, address string }

func listRows(co checkout.Checkout, env map[string]string) []statusRow {
	gateway := "http://" + env["GATEWAY_HTTP"]
	secret := func(name string) string { return relativePath(co, co.Path("secrets", name)) }
	out := []statusRow{
		{"start page", "gateway", gateway + "/"},
		{"over HTTPS", "gateway", "https://" + env["GATEWAY_HTTPS"] + "/  authority: " + relativePath(co, co.Path("certs", certs.Authority))},
		{"Swagger UI", "gateway", gateway + "/swagger/"},
	}
	for _, s := range checkout.Services() {
		out = append(out, statusRow{s.Name, s.Name, "http://" + env[s.AddressKey()]})
	}
	out = append(out, []statusRow{
		{"bootcheck", "bootcheck", "http://" + env["BOOTCHECK_HTTP"] + "/status"},
		{"MySQL", "mysql", env["MYSQL_ADDR"] + "  pgo_admin, " + secret("mysql_admin_password")},
		{"Redis", "redis", env["REDIS_ADDR"] + "  pgo_admin, " + secret("redis_admin_password")},
		{"RabbitMQ", "rabbitmq", env["RABBITMQ_ADDR"] + "  management: " + env["RABBITMQ_API"] + "  pgo_admin, " + secret("rabbitmq_admin_password")},
		{"epmd", "epmd", "127.0.0.1:" + env["EPMD_PORT"]},
		{"logs", "", relativePath(co, co.Path("logs")) + "/NAME.log, make logs s=user"},
	}...)
	if env["PGO_HTTP"] != "" { // older env files have none
		out = append(out, statusRow{"pgo", "pgo", "http://" + env["PGO_HTTP"] + "/  metrics, API"})
	}
	for _, shown := range []statusRow{
		{"Prometheus", "prometheus", "http://" + env["PROMETHEUS_HTTP"] + "/"}, {"Alertmanager", "alertmanager", "http://" + env["ALERTMANAGER_HTTP"] + "/"},
		{"Grafana", "grafana", "http://" + env["GRAFANA_HTTP"] + "/  admin, " + secret("grafana_password")},
		{"Jaeger", "jaeger", "http://" + env["JAEGER_HTTP"] + "/"}, {"Loki", "loki", "http://" + env["LOKI_HTTP"] + "/"},
	} {
		if part, ok := monitoring.Find(shown.process); ok && part.FindProgram(co, localserver.HostPrograms()) != "" {
			out = append(out, shown)
		}
	}
	if absent := monitoring.ListAbsent(co, localserver.HostPrograms()); len(absent) > 0 {
		out = append(out, statusRow{"could be added", "", strings.Join(absent, ", ") + ": docs/monitoring.md"})
	}
	if env["PGO_ENV"] == "dev" {
		out = append(out, statusRow{"sign in", "", describeSignIn(co)})
	}
	return out
}

func describeSignIn(co checkout.Checkout) string {
	return "POST /api/v1/auth/login as " + adminEmail + ", password: cat " + relativePath(co, co.Path("secrets", checkout.AdminPassword))
}

// relativePath returns path relative to the checkout if it is inside, else path itself.
func relativePath(co checkout.Checkout, path string) string {
	if rel, err := filepath.Rel(co.Root, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// readProcessStates reads the states from pgo. It returns an error if pgo does not answer: its processes may still run.
func readProcessStates(ctx context.Context, co checkout.Checkout) (map[string]string, error) {
	states := map[string]string{}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, co.ProgramPath("pgo"), "list", "--json")
	var complaint bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = co.Root, &out, &complaint
	cmd.Env = append(os.Environ(), "PGO_HOME="+co.Home)
	var list []processState
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("list pgo's processes: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		return nil, fmt.Errorf("read pgo's list: %w", err)
	}
	if len(list) > 0 {
		states["pgo"] = "ready"
	}
	for _, p := range list {
		states[p.Name] = p.Status
		if p.Ready {
			states[p.Name] = "ready"
		}
	}
	return states, nil
}
