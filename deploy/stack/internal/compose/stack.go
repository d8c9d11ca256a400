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
	managerTimeout = 60 * time.Second // for pgo in the container to answer
	healthTimeout  = 2 * time.Minute  // for every health check to pass once everything serves
)

// Up brings everything up and returns when every part is ready. On a stack that runs it changes nothing.
func (s Stack) Up(ctx context.Context) error {
	v, err := s.resolveSettings(ctx)
	if err != nil {
		return err
	}
	before, err := s.listParts(ctx)
	if err != nil {
		return err
	}
	old, _ := checkout.DigestFiles(s.dockerPath("gateway")) // none the first time
	if err := s.writeFiles(v); err != nil {
		return err
	}
	if err := s.writeEnv(v.values); err != nil {
		return fmt.Errorf("write the values for docker-compose.yml: %w", err)
	}
	if err := s.ensureImages(ctx); err != nil {
		return err
	}
	fresh, err := checkout.DigestFiles(s.dockerPath("gateway"))
	if err != nil {
		return err
	}
	// The gateway comes last: compose would wait for the runtime's health without saying what it waits for.
	if err := s.startParts(ctx, append(infraPartNames(), runtimePart)...); err != nil {
		return err
	}
	if err := s.awaitRuntime(ctx); err != nil {
		return err
	}
	if err := s.startParts(ctx, "--wait", fmt.Sprintf("--wait-timeout=%d", int(healthTimeout.Seconds()))); err != nil {
		return err
	}
	if before[gatewayPart].isRunning() && fresh != old {
		return s.runCompose(ctx, "kill", "--signal", "HUP", gatewayPart)
	}
	return nil
}

// RefreshGateway has the gateway use what PGO_HOME/certs and its settings hold now. It does nothing where nothing was ever
// set up; what does not run reads it when it starts.
func (s Stack) RefreshGateway(ctx context.Context) error {
	if s.checkPrepared() != nil {
		return nil
	}
	values, err := checkout.ReadEnvFile(s.envFile())
	if err != nil {
		return err
	}
	who, err := findOwner(values["PGO_BACKEND"])
	if err != nil {
		return fmt.Errorf("look at the deploy folder (PGO_BACKEND): %w", err)
	}
	if err := s.writeGateway(settings{owner: who, values: values}); err != nil {
		return fmt.Errorf("prepare the gateway: %w", err)
	}
	parts, err := s.listParts(ctx)
	if err != nil || !parts[gatewayPart].isRunning() {
		return err
	}
	return s.runCompose(ctx, "kill", "--signal", "HUP", gatewayPart)
}

// IsRunning tells whether any container of this stack runs.
func (s Stack) IsRunning(ctx context.Context) bool {
	parts, err := s.listParts(ctx)
	if err != nil {
		return false // without an engine none runs
	}
	for _, p := range parts {
		if p.isRunning() {
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

// startParts is docker compose up. Where that fails it names the part that stands in the way.
func (s Stack) startParts(ctx context.Context, args ...string) error {
	err := s.runCompose(ctx, append([]string{"--progress", "quiet", "up", "--detach", "--no-build", "--remove-orphans"}, args...)...)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, s.explainFailure(context.WithoutCancel(ctx)))
}

// explainFailure says which part is not well, with the end of its log and what to try.
func (s Stack) explainFailure(ctx context.Context) error {
	parts, err := s.listParts(ctx)
	if err != nil {
		return err
	}
	bad := func(p part) bool { return !p.isReady() && p.describeState() != "starting" }
	if !slices.ContainsFunc(slices.Collect(maps.Values(parts)), bad) {
		bad = func(p part) bool { return !p.isReady() } // then those that start for too long
	}
	var said []error
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		p := parts[name]
		if !bad(p) {
			continue
		}
		log, err := s.readCompose(ctx, "logs", "--no-color", "--no-log-prefix", "--tail", "15", name)
		if err != nil {
			log = []byte(err.Error())
		}
		said = append(said, fmt.Errorf("%s is %s; the end of its log:\n%s\n  try: make compose a=\"restart %s\", make logs s=%s", name, p.describeState(), indent(log), name, name))
	}
	return errors.Join(said...)
}

func indent(text []byte) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    ")
}

// awaitRuntime waits until bootcheck and every service are ready. pgo itself says what is waited for, and gives up with
// the reason where waiting is of no use.
func (s Stack) awaitRuntime(ctx context.Context) error {
	for deadline := time.Now().Add(managerTimeout); ; {
		_, err := s.readCompose(ctx, "exec", "-T", runtimePart, "pgo", "info")
		if err == nil {
			break
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("pgo does not answer in the runtime container: %w", err), s.explainFailure(ctx))
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
	err := s.runCompose(watched, "exec", "-T", runtimePart, "pgo", "up")
	if cause := context.Cause(watched); err != nil && cause != nil && ctx.Err() == nil {
		return errors.Join(cause, s.explainFailure(ctx))
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
		parts, err := s.listParts(ctx)
		if err != nil {
			continue // the engine is busy; pgo's own limit ends the wait
		}
		for _, name := range infraPartNames() {
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
	return s.runCompose(ctx, append([]string{"exec", "-T", runtimePart}, args...)...)
}

// Down stops all that Up started; data stays, unless it is to go as well.
func (s Stack) Down(ctx context.Context, data bool) error {
	if s.checkPrepared() != nil {
		return nil
	}
	if err := CheckEngine(ctx); err != nil {
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
	return s.runCompose(ctx, args...)
}

// part is a container as `docker compose ps` tells.
type part struct {
	Service string `json:"Service"`
	State   string `json:"State"`
	Health  string `json:"Health"`
	Exit    int    `json:"ExitCode"`
}

func (p part) isRunning() bool { return p.State == "running" || p.State == "paused" }
func (p part) isReady() bool {
	return p.State == "running" && (p.Health == "healthy" || p.Health == "")
}

func (p part) describeState() string {
	switch {
	case p.isReady():
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

// listParts are the containers that there are, by their names in docker-compose.yml.
func (s Stack) listParts(ctx context.Context) (map[string]part, error) {
	parts := map[string]part{}
	if s.checkPrepared() != nil {
		return parts, nil
	}
	out, err := s.readCompose(ctx, "ps", "--all", "--format", "json")
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
type Row struct{ Part, State, Address string }

// ListRows are every part, its state and where it is.
func (s Stack) ListRows(ctx context.Context, near func(path string) string) ([]Row, error) {
	values, err := checkout.ReadEnvFile(s.envFile())
	if err != nil {
		return nil, err
	}
	parts, err := s.listParts(ctx)
	if err != nil {
		return nil, err
	}
	v := settings{values: values}
	gateway := parts[gatewayPart].describeState()
	processes := s.readProcessStates(ctx, parts)
	rows := []Row{
		{"start page", gateway, v.publishedURL("http") + "/"},
		{"over HTTPS", gateway, v.publishedURL("https") + "/  authority: " + near(s.Checkout.Path("certs", "ca.crt"))},
		{"Swagger UI", gateway, v.publishedURL("http") + "/swagger/"},
	}
	for _, sv := range checkout.Services() {
		rows = append(rows, Row{sv.Name, processes[sv.Name], v.publishedURL("http") + "/services/" + sv.Name + "/readyz"})
	}
	rows = append(rows, Row{"bootcheck", processes["bootcheck"], v.publishedURL("http") + "/services/bootcheck/status"})
	for _, infra := range []struct{ what, part, port string }{{"MySQL", "mysql", "3306"}, {"Redis", "redis", "6379"}, {"RabbitMQ", "rabbitmq", "5672"}} {
		rows = append(rows, Row{infra.what, parts[infra.part].describeState(), fmt.Sprintf("%s:%s inside  pgo_admin, %s", infra.part, infra.port, near(s.Checkout.Path("secrets", infra.part+"_admin_password")))})
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if !slices.Contains(append(infraPartNames(), runtimePart, gatewayPart), name) {
			rows = append(rows, Row{name, parts[name].describeState(), ""})
		}
	}
	return append(rows, Row{"logs", "", `make logs s=user, make compose a="logs mysql"`}), nil
}

// readProcessStates are the states inside the runtime container, which has none of them while it is down.
func (s Stack) readProcessStates(ctx context.Context, parts map[string]part) map[string]string {
	states := map[string]string{"bootcheck": parts[runtimePart].describeState()}
	for _, sv := range checkout.Services() {
		states[sv.Name] = parts[runtimePart].describeState()
	}
	out, err := s.readCompose(ctx, "exec", "-T", runtimePart, "pgo", "list", "--json")
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
