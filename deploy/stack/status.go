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

// processState is what is read of `pgo list --json`.
type processState struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Ready  bool   `json:"ready"`
}

// status prints one table of what there is, how it is and where.
func status(ctx context.Context, co checkout.Checkout, sys surroundings) error {
	if lastMode(co) == dockerMode {
		return containerStatus(ctx, co, sys)
	}
	env, err := co.ReadEnv()
	if err != nil {
		return err
	}
	if len(env) == 0 {
		fmt.Fprintln(sys.stdout, "nothing is set up here: make up")
		return nil
	}
	states, err := processStates(ctx, co)
	if err != nil {
		return err
	}
	var table []compose.Row
	for _, r := range rows(co, env) {
		state := ""
		if r.process != "" {
			if state = states[r.process]; state == "" {
				state = "stopped"
			}
		}
		table = append(table, compose.Row{What: r.what, State: state, Where: r.where})
	}
	return printTable(table, sys)
}

func printTable(table []compose.Row, sys surroundings) error {
	w := tabwriter.NewWriter(sys.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "PART\tSTATE\tWHERE")
	for _, r := range table {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.What, r.State, r.Where)
	}
	return w.Flush()
}

type row struct{ what, process, where string }

func rows(co checkout.Checkout, env map[string]string) []row {
	gateway := "http://" + env["GATEWAY_HTTP"]
	secret := func(name string) string { return nearPath(co, co.Path("secrets", name)) }
	out := []row{
		{"start page", "gateway", gateway + "/"},
		{"over HTTPS", "gateway", "https://" + env["GATEWAY_HTTPS"] + "/  authority: " + nearPath(co, co.Path("certs", certs.Authority))},
		{"Swagger UI", "gateway", gateway + "/swagger/"},
	}
	for _, s := range checkout.Services() {
		out = append(out, row{s.Name, s.Name, "http://" + env[s.AddressKey()]})
	}
	out = append(out, []row{
		{"bootcheck", "bootcheck", "http://" + env["BOOTCHECK_HTTP"] + "/status"},
		{"MySQL", "mysql", env["MYSQL_ADDR"] + "  pgo_admin, " + secret("mysql_admin_password")},
		{"Redis", "redis", env["REDIS_ADDR"] + "  pgo_admin, " + secret("redis_admin_password")},
		{"RabbitMQ", "rabbitmq", env["RABBITMQ_ADDR"] + "  management: " + env["RABBITMQ_API"] + "  pgo_admin, " + secret("rabbitmq_admin_password")},
		{"epmd", "epmd", "127.0.0.1:" + env["EPMD_PORT"]},
		{"logs", "", nearPath(co, co.Path("logs")) + "/NAME.log, make logs s=user"},
	}...)
	if env["PGO_HTTP"] != "" { // an env file that was written before there was one has none
		out = append(out, row{"pgo", "pgo", "http://" + env["PGO_HTTP"] + "/  metrics, API"})
	}
	for _, shown := range []row{
		{"Prometheus", "prometheus", "http://" + env["PROMETHEUS_HTTP"] + "/"}, {"Alertmanager", "alertmanager", "http://" + env["ALERTMANAGER_HTTP"] + "/"},
		{"Grafana", "grafana", "http://" + env["GRAFANA_HTTP"] + "/  admin, " + secret("grafana_password")},
		{"Jaeger", "jaeger", "http://" + env["JAEGER_HTTP"] + "/"}, {"Loki", "loki", "http://" + env["LOKI_HTTP"] + "/"},
	} {
		if part, ok := monitoring.Find(shown.process); ok && part.Program(co, localserver.HostPrograms()) != "" {
			out = append(out, shown)
		}
	}
	if absent := monitoring.Absent(co, localserver.HostPrograms()); len(absent) > 0 {
		out = append(out, row{"not installed", "", strings.Join(absent, ", ") + ": docs/monitoring.md"})
	}
	if env["PGO_ENV"] == "dev" {
		out = append(out, row{"sign in", "", signIn(co)})
	}
	return out
}

func signIn(co checkout.Checkout) string {
	return "POST /api/v1/auth/login as " + adminEmail + ", password: cat " + nearPath(co, co.Path("secrets", checkout.AdminPassword))
}

// nearPath is path as seen from the checkout, where it is inside.
func nearPath(co checkout.Checkout, path string) string {
	if rel, err := filepath.Rel(co.Root, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// processStates asks pgo. A pgo that was killed is an error: what it started may run.
func processStates(ctx context.Context, co checkout.Checkout) (map[string]string, error) {
	states := map[string]string{}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, co.ProgramPath("pgo"), "list", "--json")
	var said bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = co.Root, &out, &said
	cmd.Env = append(os.Environ(), "PGO_HOME="+co.Home)
	var list []processState
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ask pgo what runs: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		return nil, fmt.Errorf("read what pgo says: %w", err)
	}
	if len(list) > 0 {
		states["pgo"] = "ready" // it answers
	}
	for _, p := range list {
		states[p.Name] = p.Status
		if p.Ready {
			states[p.Name] = "ready"
		}
	}
	return states, nil
}
