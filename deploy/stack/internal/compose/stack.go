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
	managerTimeout = 60 * time.Second // until pgo in the container answers
	healthTimeout  = 2 * time.Minute  // until every health check passes, once all parts serve
)

// Up starts all containers and returns when every part is ready. It changes nothing if the stack runs.
func (s Stack) Up(ctx context.Context) error {
	v, err := s.resolveSettings(ctx)
	if err != nil {
		return err
	}
	before, err := s.listParts(ctx)
	if err != nil {
		return err
	}
	old, _ := checkout.DigestFiles(s.dockerPath("gateway")) // "" the first time
	if err := s.writeFiles(v); err != nil {
		return err
	}
	if err := s.writeEnv(v.values); err != nil {
		return fmt.Errorf("write the values for docker-compose.yml: %w", err)
	}
	if err := s.ensureImages(ctx); err != nil {
		return err
	}
	digest, err := checkout.DigestFiles(s.dockerPath("gateway"))
	if err != nil {
		return err
	}
	// The gateway starts last: compose would wait for the runtime's health without printing the reason.
	if err := s.startParts(ctx, append(infraPartNames(), runtimePart)...); err != nil {
		return err
	}
	if err := s.awaitRuntime(ctx); err != nil {
		return err
	}
	if err := s.startParts(ctx, "--wait", fmt.Sprintf("--wait-timeout=%d", int(healthTimeout.Seconds()))); err != nil {
		return err
	}
	if before[gatewayPart].isRunning() && digest != old {
		return s.runCompose(ctx, "kill", "--signal", "HUP", gatewayPart)
	}
	return nil
}

// RefreshGateway writes the gateway's files again and has a running gateway reload them. It does nothing if the stack was never
// set up as containers.
func (s Stack) RefreshGateway(ctx context.Context) error {
	if s.checkPrepared() != nil {
		return nil
	}
	values, err := checkout.ReadEnvFile(s.envFile())
	if err != nil {
		return err
	}
	fileOwner, err := findOwner(values["PGO_BACKEND"])
	if err != nil {
		return fmt.Errorf("read the deploy directory (PGO_BACKEND): %w", err)
	}
	if err := s.writeGateway(settings{owner: fileOwner, values: values}); err != nil {
		return fmt.Errorf("prepare the gateway: %w", err)
	}
	parts, err := s.listParts(ctx)
	if err != nil || !parts[gatewayPart].isRunning() {
		return err
	}
	return s.runCompose(ctx, "kill", "--signal", "HUP", gatewayPart)
}

// IsRunning reports whether any container of the stack runs.
func (s Stack) IsRunning(ctx context.Context) bool {
	parts, err := s.listParts(ctx)
	if err != nil {
		return false // no container runs without an engine
	}
	for _, p := range parts {
		if p.isRunning() {
			return true
		}
	}
	return false
}

// Environment returns the stack's PGO_ENV.
func (s Stack) Environment() string {
	values, err := checkout.ReadEnvFile(s.envFile())
	if err != nil {
		return ""
	}
	return values["PGO_ENV"]
}

// startParts runs docker compose up. Its error names the failed part.
func (s Stack) startParts(ctx context.Context, args ...string) error {
	err := s.runCompose(ctx, append([]string{"--progress", "quiet", "up", "--detach", "--no-build", "--remove-orphans"}, args...)...)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, s.explainFailure(context.WithoutCancel(ctx)))
}

// explainFailure returns an error for each part that is not ready, with the end of its log and a command to try.
func (s Stack) explainFailure(ctx context.Context) error {
	parts, err := s.listParts(ctx)
	if err != nil {
		return err
	}
	isBad := func(p part) bool { return !p.isReady() && p.describeState() != "starting" }
	if !slices.ContainsFunc(slices.Collect(maps.Values(parts)), isBad) {
		isBad = func(p part) bool { return !p.isReady() } // then the parts that have not become ready in time
	}
	var failures []error
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		p := parts[name]
		if !isBad(p) {
			continue
		}
		log, err := s.readCompose(ctx, "logs", "--no-color", "--no-log-prefix", "--tail", "15", name)
		if err != nil {
			log = []byte(err.Error())
		}
		failures = append(failures, fmt.Errorf("%s is %s; the end of its log:\n%s\n  try: make compose a=\"restart %s\", make logs s=%s", name, p.describeState(), indent(log), name, name))
	}
	return errors.Join(failures...)
}

func indent(text []byte) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    ")
}

// awaitRuntime waits until bootcheck and every service are ready. pgo prints what it waits for, and fails with the reason if
// waiting does not help.
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
	// If the container of a server keeps exiting, bootcheck would wait for it without end.
	watched, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go s.watchInfra(watched, stop)
	// This also applies changes of the process file and of the deploy directory.
	err := s.runCompose(watched, "exec", "-T", runtimePart, "pgo", "up")
	if cause := context.Cause(watched); err != nil && cause != nil && ctx.Err() == nil {
		return errors.Join(cause, s.explainFailure(ctx))
	}
	return err
}

// watchInfra calls stop when a part of infra is down at maxDown checks in a row.
func (s Stack) watchInfra(ctx context.Context, stop context.CancelCauseFunc) {
	const maxDown = 5
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
			continue // the engine is busy; pgo's timeout ends the wait
		}
		for _, name := range infraPartNames() {
			if parts[name].State == "running" && parts[name].Health != "unhealthy" {
				down[name] = 0
			} else if down[name]++; down[name] >= maxDown {
				stop(fmt.Errorf("%s does not start", name))
			}
		}
	}
}

// Exec runs a program in the runtime container.
func (s Stack) Exec(ctx context.Context, args ...string) error {
	return s.runCompose(ctx, append([]string{"exec", "-T", runtimePart}, args...)...)
}

// Down removes the containers and, if data is true, their volumes.
func (s Stack) Down(ctx context.Context, data bool) error {
	if s.checkPrepared() != nil {
		return nil
	}
	if err := CheckEngine(ctx); err != nil {
		// Without an engine no container runs. They start again with the engine, and can be stopped then.
		if data {
			return fmt.Errorf("the containers' data cannot be removed: %w", err)
		}
		fmt.Fprintf(s.Err, "no containers were stopped: %v\n", err)
		return nil
	}
	args := []string{"--progress", "quiet", "--profile", "*", "down", "--remove-orphans"}
	if data {
		args = append(args, "--volumes")
	}
	return s.runCompose(ctx, args...)
}

// part is a container in the output of `docker compose ps`.
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

// listParts returns the existing containers by their names in docker-compose.yml.
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
			return nil, fmt.Errorf("read the output of docker compose ps: %w", err)
		}
		for _, p := range list {
			parts[p.Service] = p
		}
	}
	return parts, nil
}

// Row is a row of the table of parts.
type Row struct{ Part, State, Address string }

// ListRows returns every part with its state and address. relative shortens paths for people.
func (s Stack) ListRows(ctx context.Context, relative func(path string) string) ([]Row, error) {
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
		{"over HTTPS", gateway, v.publishedURL("https") + "/  authority: " + relative(s.Checkout.Path("certs", "ca.crt"))},
		{"Swagger UI", gateway, v.publishedURL("http") + "/swagger/"},
	}
	for _, sv := range checkout.Services() {
		rows = append(rows, Row{sv.Name, processes[sv.Name], v.publishedURL("http") + "/services/" + sv.Name + "/readyz"})
	}
	rows = append(rows, Row{"bootcheck", processes["bootcheck"], v.publishedURL("http") + "/services/bootcheck/status"})
	for _, infra := range []struct{ what, part, port string }{{"MySQL", "mysql", "3306"}, {"Redis", "redis", "6379"}, {"RabbitMQ", "rabbitmq", "5672"}} {
		rows = append(rows, Row{infra.what, parts[infra.part].describeState(), fmt.Sprintf("%s:%s inside  pgo_admin, %s", infra.part, infra.port, relative(s.Checkout.Path("secrets", infra.part+"_admin_password")))})
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if !slices.Contains(append(infraPartNames(), runtimePart, gatewayPart), name) {
			rows = append(rows, Row{name, parts[name].describeState(), ""})
		}
	}
	return append(rows, Row{"logs", "", `make logs s=user, make compose a="logs mysql"`}), nil
}

// readProcessStates returns the states of the processes in the runtime container, or the container's state if it is down.
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
