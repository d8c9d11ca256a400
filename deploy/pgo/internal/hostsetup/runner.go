package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pgo/deploy/pgo/internal/systemd"
)

const containerName = "pgo"

// planRunner plans what starts pgo with the machine.
func (p *planner) planRunner(ctx context.Context) (Step, error) {
	hasSystemd := p.hasSystemd()
	engine := ""
	for _, name := range []string{"docker", "podman"} {
		if path, err := p.findProgram(name, ""); err == nil && engine == "" {
			engine = filepath.Base(path)
		}
	}
	switch {
	case p.Options.Run == Systemd && !hasSystemd:
		return Step{}, errors.New("systemd does not run here")
	case p.Options.Run == Container && engine == "":
		return Step{}, errors.New("there is neither docker nor podman here")
	case p.Options.Run == Systemd, p.Options.Run == "" && hasSystemd:
		return p.planUnit(), nil
	case engine == "":
		return Step{}, errors.New("there is nothing here that could start pgo with the machine: neither systemd, nor docker or podman")
	case p.isImage():
		return Step{}, errors.New("in an image no container can be started: use --run systemd")
	}
	return p.planContainer(ctx, engine)
}

// planUnit plans the unit that runs pgo.
func (p *planner) planUnit() Step {
	step := Step{"a unit that runs pgo", []Action{
		p.writeUnit(systemd.Manager(p.Options.Dir, p.Options.User)),
		p.enableUnit(systemd.ManagerUnit, "multi-user.target"),
	}}
	if p.isImage() {
		return step
	}
	step.Actions = append(step.Actions, p.reloadUnits(systemd.ManagerUnit),
		// Without a process file there is nothing to start yet. A running pgo goes on, even where its unit has changed.
		&command{planner: p, args: []string{"systemctl", "start", systemd.ManagerUnit}, isDone: func(ctx context.Context) (bool, error) {
			if _, err := os.Stat(filepath.Join(p.hostPath(p.Options.Dir), "configs", "pgo.yaml")); err != nil {
				return true, nil
			}
			_, err := p.Machine.Command(ctx, "systemctl", "is-active", "--quiet", systemd.ManagerUnit)
			return err == nil, nil
		}})
	return step
}

// planContainer plans a container in the machine's own network that runs pgo. pgo's directory has the same path inside and
// outside, and so have its sockets: pgo receive needs no right to the container engine.
func (p *planner) planContainer(ctx context.Context, engine string) (Step, error) {
	output, err := p.Machine.Command(ctx, engine, "inspect", "-f", "{{.State.Running}} {{.Config.Image}} {{.Config.WorkingDir}}", containerName)
	running, current, _ := strings.Cut(strings.TrimSpace(output), " ")
	exists := err == nil
	if exists && current != p.Options.Image+" "+p.Options.Dir {
		return Step{}, fmt.Errorf("%s has a container %s that is another one (%s): remove it, or leave pgo to it", engine, containerName, current)
	}
	// The user and its IDs may not exist yet: the shell reads them when it starts the container.
	script := fmt.Sprintf("%[1]s run -d --name %[2]s --restart unless-stopped --network host"+
		` --user "$(id -u %[3]s):$(id -g %[3]s)" --security-opt no-new-privileges --ulimit nofile=65536:65536 --stop-timeout 180`+
		" -v %[4]s:%[4]s -w %[4]s -e PGO_HOME=%[4]s/.pgo -e XDG_RUNTIME_DIR=%[4]s/run %[5]s %[4]s/bin/pgo up --foreground",
		engine, containerName, p.Options.User, p.Options.Dir, p.Options.Image)
	args := []string{"sh", "-c", script}
	if exists {
		args = []string{engine, "start", containerName}
	}
	return Step{"a container that runs pgo", []Action{
		&directory{p, filepath.Join(p.Options.Dir, "run"), p.Options.User, 0o700}, // for its sockets
		&command{planner: p, args: args, isDone: func(context.Context) (bool, error) {
			_, err := os.Stat(filepath.Join(p.hostPath(p.Options.Dir), "configs", "pgo.yaml"))
			return err != nil || exists && running == "true", nil // without a process file pgo would only end again and again
		}},
	}}, nil
}
