package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgo/deploy/stack/internal/checkout"
)

const (
	managerWait = 60 * time.Second // for pgo in the container to answer
	healthWait  = 2 * time.Minute  // for every health check to pass once everything serves
)

// Up brings everything up and returns when every part is ready. On a stack that runs it changes nothing.
func (s Stack) Up(ctx context.Context) error {
	v, err := s.settle(ctx)
	if err != nil {
		return err
	}
	before, err := s.parts(ctx)
	if err != nil {
		return err
	}
	old, _ := checkout.DigestFiles(s.path("gateway")) // none the first time
	if err := s.write(v); err != nil {
		return err
	}
	if err := s.writeEnv(v.values); err != nil {
		return fmt.Errorf("write the values for docker-compose.yml: %w", err)
	}
	if err := s.images(ctx); err != nil {
		return err
	}
	fresh, err := checkout.DigestFiles(s.path("gateway"))
	if err != nil {
		return err
	}
	// The gateway comes last: compose would wait for the runtime's health without saying what it waits for.
	if err := s.start(ctx, append(infraParts(), runtimePart)...); err != nil {
		return err
	}
	if err := s.runtimeReady(ctx); err != nil {
		return err
	}
	if err := s.start(ctx, "--wait", fmt.Sprintf("--wait-timeout=%d", int(healthWait.Seconds()))); err != nil {
		return err
	}
	if before[gatewayPart].running() && fresh != old {
		return s.pass(ctx, "kill", "--signal", "HUP", gatewayPart)
	}
	return nil
}

// RefreshGateway has the gateway use what PGO_HOME/certs and its settings hold now. It does nothing where nothing was ever
// set up; what does not run reads it when it starts.
func (s Stack) RefreshGateway(ctx context.Context) error {
	if s.prepared() != nil {
		return nil
	}
	values, err := checkout.ReadEnvFile(s.envFile())
	if err != nil {
		return err
	}
	who, err := ownerOf(values["PGO_BACKEND"])
	if err != nil {
		return fmt.Errorf("look at the deploy folder (PGO_BACKEND): %w", err)
	}
	if err := s.writeGateway(settings{owner: who, values: values}); err != nil {
		return fmt.Errorf("prepare the gateway: %w", err)
	}
	parts, err := s.parts(ctx)
	if err != nil || !parts[gatewayPart].running() {
		return err
	}
	return s.pass(ctx, "kill", "--signal", "HUP", gatewayPart)
}

// Running tells whether any container of this stack runs.
func (s Stack) Running(ctx context.Context) bool {
	parts, err := s.parts(ctx)
	if err != nil {
		return false // without an engine none runs
	}
	for _, p := range parts {
		if p.running() {
			return true
		}
	}
	return false
}

// Environment is the stack's PGO_ENV.
func (s Stack) Environment() string {
	values, err := checkout.ReadEnvFile(s.envFile())
	if err != nil {
		return ""
	}
	return values["PGO_ENV"]
}

// start is docker compose up. Where that fails it names the part that stands in the way.
func (s Stack) start(ctx context.Context, args ...string) error {
	err := s.pass(ctx, append([]string{"--progress", "quiet", "up", "--detach", "--no-build", "--remove-orphans"}, args...)...)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, s.explain(context.WithoutCancel(ctx)))
}

// explain says which part is not well, with the end of its log and what to try.
func (s Stack) explain(ctx context.Context) error {
	parts, err := s.parts(ctx)
	if err != nil {
		return err
	}
	bad := func(p part) bool { return !p.ready() && p.state() != "starting" }
	if !slices.ContainsFunc(slices.Collect(maps.Values(parts)), bad) {
		bad = func(p part) bool { return !p.ready() } // then those that start for too long
	}
	var said []error
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		p := parts[name]
		if !bad(p) {
			continue
		}
		log, err := s.read(ctx, "logs", "--no-color", "--no-log-prefix", "--tail", "15", name)
		if err != nil {
			log = []byte(err.Error())
		}
		said = append(said, fmt.Errorf("%s is %s; the end of its log:\n%s\n  try: make compose a=\"restart %s\", make logs s=%s", name, p.state(), indent(log), name, name))
	}
	return errors.Join(said...)
}

func indent(text []byte) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    ")
}

// runtimeReady waits until bootcheck and every service are ready. pgo itself says what is waited for, and gives up with
// the reason where waiting is of no use.
func (s Stack) runtimeReady(ctx context.Context) error {
	for deadline := time.Now().Add(managerWait); ; {
		_, err := s.read(ctx, "exec", "-T", runtimePart, "pgo", "info")
		if err == nil {
			break
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("pgo does not answer in the runtime container: %w", err), s.explain(ctx))
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	// While bootcheck waits for a server whose container cannot even stay up, there is nothing to wait for.
	watched, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go s.watchInfra(watched, stop)
	// It also applies what has changed in the process file and in the deploy folder.
	err := s.pass(watched, "exec", "-T", runtimePart, "pgo", "up")
	if cause := context.Cause(watched); err != nil && cause != nil && ctx.Err() == nil {
		return errors.Join(cause, s.explain(ctx))
	}
	return err
}

// watchInfra stops the wait when a part of infra is down at several looks in a row.
func (s Stack) watchInfra(ctx context.Context, stop context.CancelCauseFunc) {
	const looks = 5
	down := map[string]int{}
	for tick := time.NewTicker(2 * time.Second); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		parts, err := s.parts(ctx)
		if err != nil {
			continue // the engine is busy; pgo's own limit ends the wait
		}
		for _, name := range infraParts() {
			if parts[name].State == "running" && parts[name].Health != "unhealthy" {
				down[name] = 0
			} else if down[name]++; down[name] >= looks {
				stop(fmt.Errorf("%s does not come up", name))
			}
		}
	}
}

// Exec runs a program in the runtime container.
func (s Stack) Exec(ctx context.Context, args ...string) error {
	return s.pass(ctx, append([]string{"exec", "-T", runtimePart}, args...)...)
}

// Down stops all that Up started; data stays, unless it is to go as well.
func (s Stack) Down(ctx context.Context, data bool) error {
	if s.prepared() != nil {
		return nil
	}
	if err := Answers(ctx); err != nil {
		// No engine runs any of it. What is left starts again with the engine, and so does the way to stop it.
		if data {
			return fmt.Errorf("the containers' data cannot be removed: %w", err)
		}
		fmt.Fprintf(s.Err, "no containers are stopped: %v\n", err)
		return nil
	}
	args := []string{"--progress", "quiet", "--profile", "*", "down", "--remove-orphans"}
	if data {
		args = append(args, "--volumes")
	}
	return s.pass(ctx, args...)
}

// part is a container as `docker compose ps` tells.
type part struct {
	Service string `json:"Service"`
	State   string `json:"State"`
	Health  string `json:"Health"`
	Exit    int    `json:"ExitCode"`
}

func (p part) running() bool { return p.State == "running" || p.State == "paused" }
func (p part) ready() bool   { return p.State == "running" && (p.Health == "healthy" || p.Health == "") }

func (p part) state() string {
	switch {
	case p.ready():
		return "ready"
	case p.State == "running":
		return p.Health
	case p.State == "":
		return "stopped"
	case p.State == "exited":
		return fmt.Sprintf("exited with code %d", p.Exit)
	}
	return p.State
}

// parts are the containers that there are, by their names in docker-compose.yml.
func (s Stack) parts(ctx context.Context) (map[string]part, error) {
	parts := map[string]part{}
	if s.prepared() != nil {
		return parts, nil
	}
	out, err := s.read(ctx, "ps", "--all", "--format", "json")
	if err != nil {
		return nil, err
	}
	// One object a line, or one list, by the version of Compose.
	for _, line := range bytes.Split(bytes.TrimSpace(out), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var list []part
		if line[0] == '[' {
			err = json.Unmarshal(line, &list)
		} else {
			list = make([]part, 1)
			err = json.Unmarshal(line, &list[0])
		}
		if err != nil {
			return nil, fmt.Errorf("read what docker compose ps says: %w", err)
		}
		for _, p := range list {
			parts[p.Service] = p
		}
	}
	return parts, nil
}

// Row is a line of the table of what there is.
type Row struct{ What, State, Where string }

// Rows are every part, its state and where it is.
func (s Stack) Rows(ctx context.Context, near func(path string) string) ([]Row, error) {
	values, err := checkout.ReadEnvFile(s.envFile())
	if err != nil {
		return nil, err
	}
	parts, err := s.parts(ctx)
	if err != nil {
		return nil, err
	}
	v := settings{values: values}
	gateway := parts[gatewayPart].state()
	processes := s.processes(ctx, parts)
	rows := []Row{
		{"start page", gateway, v.url("http") + "/"},
		{"over HTTPS", gateway, v.url("https") + "/  authority: " + near(s.Checkout.Path("certs", "ca.crt"))},
		{"Swagger UI", gateway, v.url("http") + "/swagger/"},
	}
	for _, sv := range checkout.Services() {
		rows = append(rows, Row{sv.Name, processes[sv.Name], v.url("http") + "/services/" + sv.Name + "/readyz"})
	}
	rows = append(rows, Row{"bootcheck", processes["bootcheck"], v.url("http") + "/services/bootcheck/status"})
	for _, infra := range []struct{ what, part, port string }{{"MySQL", "mysql", "3306"}, {"Redis", "redis", "6379"}, {"RabbitMQ", "rabbitmq", "5672"}} {
		rows = append(rows, Row{infra.what, parts[infra.part].state(), fmt.Sprintf("%s:%s inside  pgo_admin, %s", infra.part, infra.port, near(s.Checkout.Path("secrets", infra.part+"_admin_password")))})
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if !slices.Contains(append(infraParts(), runtimePart, gatewayPart), name) {
			rows = append(rows, Row{name, parts[name].state(), ""})
		}
	}
	return append(rows, Row{"logs", "", `make logs s=user, make compose a="logs mysql"`}), nil
}

// processes are the states inside the runtime container, which has none of them while it is down.
func (s Stack) processes(ctx context.Context, parts map[string]part) map[string]string {
	states := map[string]string{"bootcheck": parts[runtimePart].state()}
	for _, sv := range checkout.Services() {
		states[sv.Name] = parts[runtimePart].state()
	}
	out, err := s.read(ctx, "exec", "-T", runtimePart, "pgo", "list", "--json")
	if err != nil {
		return states
	}
	var list []struct {
		Name, Status string
		Ready        bool
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return states
	}
	for _, p := range list {
		if states[p.Name] = p.Status; p.Ready {
			states[p.Name] = "ready"
		}
	}
	return states
}
