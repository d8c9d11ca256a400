package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	unitName      = "pgo.service"
	containerName = "pgo"
)

// unitText is the unit. The keeper is its main process: it holds the listeners and starts a manager that ends anew, so
// systemd only has to know the keeper.
const unitText = `# Made by pgo host setup.
[Unit]
Description=pgo: what @DIR@/configs/pgo.yaml lists
Wants=network-online.target
After=network-online.target
# Until there is a process file there is nothing to run.
ConditionPathExists=@DIR@/configs/pgo.yaml
StartLimitIntervalSec=0

[Service]
Type=exec
User=@USER@
WorkingDirectory=@DIR@
Environment=PGO_HOME=@DIR@/.pgo XDG_RUNTIME_DIR=/run/pgo
RuntimeDirectory=pgo
RuntimeDirectoryMode=0700
ExecStart=@DIR@/bin/pgo up --foreground
# pgo down ends it; what fails is started anew, but for a wrong command line or process file.
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=64 78
# pgo itself stops what it runs, in order. What is left when it has gone would be in the way of the next one.
KillMode=mixed
TimeoutStopSec=180
# A service that the kernel ends for its memory takes nobody with it: pgo starts it anew.
OOMPolicy=continue
LimitNOFILE=65536
TasksMax=infinity
NoNewPrivileges=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target
`

// boots tells whether systemd starts the machine.
func (s *setup) boots() bool {
	sign := "/run/systemd/system"
	if s.image() {
		sign = "/lib/systemd/systemd"
	}
	_, err := os.Stat(s.path(sign))
	return err == nil
}

// running is what runs pgo.
func (s *setup) running(ctx context.Context) (Step, error) {
	boot := s.boots()
	engine := ""
	for _, name := range []string{"docker", "podman"} {
		if path, err := s.find(name, ""); err == nil && engine == "" {
			engine = filepath.Base(path)
		}
	}
	switch {
	case s.Options.Run == Systemd && !boot:
		return Step{}, errors.New("systemd does not run here")
	case s.Options.Run == Container && engine == "":
		return Step{}, errors.New("there is neither docker nor podman here")
	case s.Options.Run == Systemd, s.Options.Run == "" && boot:
		return s.unit(), nil
	case engine == "":
		return Step{}, errors.New("there is nothing here that could start pgo with the machine: neither systemd, nor docker or podman")
	case s.image():
		return Step{}, errors.New("in an image no container can be started: use --run systemd")
	}
	return s.container(ctx, engine)
}

func (s *setup) unit() Step {
	text := strings.NewReplacer("@DIR@", s.Options.Dir, "@USER@", s.Options.User).Replace(unitText)
	step := Step{"a unit that runs pgo", []Action{
		&file{setup: s, name: "/etc/systemd/system/" + unitName, text: text, owner: "root", mode: 0o644},
		s.enable(unitName, "multi-user.target"),
	}}
	if s.image() {
		return step
	}
	step.Actions = append(step.Actions, s.reloadUnits(unitName),
		// Without a process file it waits for one; what runs already goes on, also where the unit has changed.
		&command{setup: s, args: []string{"systemctl", "start", unitName}, done: func(ctx context.Context) (bool, error) {
			if _, err := os.Stat(filepath.Join(s.path(s.Options.Dir), "configs", "pgo.yaml")); err != nil {
				return true, nil
			}
			_, err := s.Machine.Command(ctx, "systemctl", "is-active", "--quiet", unitName)
			return err == nil, nil
		}})
	return step
}

// reloadUnits has systemd read what a unit has become.
func (s *setup) reloadUnits(unit string) Action {
	return &command{setup: s, args: []string{"systemctl", "daemon-reload"}, after: true, done: func(ctx context.Context) (bool, error) {
		said, err := s.Machine.Command(ctx, "systemctl", "show", "-p", "NeedDaemonReload", "--value", unit)
		return err == nil && strings.TrimSpace(said) != "yes", nil
	}}
}

// enable has systemd start a unit with the machine.
func (s *setup) enable(unit, target string) Action {
	args := []string{"systemctl", "enable", unit}
	if s.image() {
		args = []string{"systemctl", "--root", s.Options.Root, "enable", unit}
	}
	return &command{setup: s, args: args, done: func(context.Context) (bool, error) {
		_, err := os.Lstat(s.path("/etc/systemd/system/" + target + ".wants/" + unit))
		return err == nil, nil
	}}
}

// container runs pgo in a container of the machine's own network. Its folder is at the same place in both, and so are its
// sockets: pgo receive needs no right to the container engine.
func (s *setup) container(ctx context.Context, engine string) (Step, error) {
	said, err := s.Machine.Command(ctx, engine, "inspect", "-f", "{{.State.Running}} {{.Config.Image}} {{.Config.WorkingDir}}", containerName)
	running, is, _ := strings.Cut(strings.TrimSpace(said), " ")
	there := err == nil
	if there && is != s.Options.Image+" "+s.Options.Dir {
		return Step{}, fmt.Errorf("%s has a container %s that is another one (%s): remove it, or leave pgo to it", engine, containerName, is)
	}
	// The numbers are not known before the user is there: the shell asks for them then.
	script := fmt.Sprintf("%[1]s run -d --name %[2]s --restart unless-stopped --network host"+
		` --user "$(id -u %[3]s):$(id -g %[3]s)" --security-opt no-new-privileges --ulimit nofile=65536:65536 --stop-timeout 180`+
		" -v %[4]s:%[4]s -w %[4]s -e PGO_HOME=%[4]s/.pgo -e XDG_RUNTIME_DIR=%[4]s/run %[5]s %[4]s/bin/pgo up --foreground",
		engine, containerName, s.Options.User, s.Options.Dir, s.Options.Image)
	args := []string{"sh", "-c", script}
	if there {
		args = []string{engine, "start", containerName}
	}
	return Step{"a container that runs pgo", []Action{
		&folder{s, filepath.Join(s.Options.Dir, "run"), s.Options.User, 0o700}, // of its sockets
		&command{setup: s, args: args, done: func(context.Context) (bool, error) {
			_, err := os.Stat(filepath.Join(s.path(s.Options.Dir), "configs", "pgo.yaml"))
			return err != nil || there && running == "true", nil // without a process file it would only end again and again
		}},
	}}, nil
}
