package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// An EngineError says why containers cannot be had here, and what to type.
type EngineError struct{ Problem, Remedy string }

func (e *EngineError) Error() string {
	return e.Problem + "\n  " + e.Remedy + "\n  or, without containers: make up MODE=native"
}

const engineTimeout = 10 * time.Second

// CheckEngine tells whether a Docker engine with Compose answers; the error says why not.
func CheckEngine(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return &EngineError{"there is no docker program", "install Docker Engine and its Compose plugin: https://docs.docker.com/engine/install/"}
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	said, err := runDocker(ctx, "info", "--format", "{{.ServerVersion}}")
	switch {
	case err == nil:
	case strings.Contains(said, "permission denied"):
		return &EngineError{"the Docker engine does not let you in: " + lastLine(said), "sudo usermod -aG docker $USER, then log in again"}
	case ctx.Err() != nil:
		return &EngineError{"the Docker engine does not answer within " + engineTimeout.String(), "sudo systemctl restart docker"}
	default:
		return &EngineError{"no Docker engine answers: " + lastLine(said), "sudo systemctl start docker"}
	}
	if said, err := runDocker(ctx, "compose", "version", "--short"); err != nil {
		return &EngineError{"docker has no Compose plugin: " + lastLine(said), "install the package docker-compose-plugin"}
	}
	return nil
}

// runDocker returns what docker says, on both of its outputs.
func runDocker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// lastLine is the last line that says something.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// newCommand is docker compose for this stack.
func (s Stack) newCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose", "--env-file", s.envFile()}, args...)...)
	cmd.Dir = s.Checkout.Root
	cmd.Env = os.Environ()
	for key := range s.readValues() {
		// The file decides: what a shell happens to have set would make another stack of every command.
		cmd.Env = removeVariable(cmd.Env, key)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

func removeVariable(environ []string, key string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, key+"=") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// runCompose runs docker compose with its output to the person.
func (s Stack) runCompose(ctx context.Context, args ...string) error {
	cmd := s.newCommand(ctx, args...)
	cmd.Stdout, cmd.Stderr = s.Err, s.Err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("docker compose %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// readCompose runs docker compose and returns what it prints.
func (s Stack) readCompose(ctx context.Context, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := s.newCommand(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("docker compose %s: %w: %s", strings.Join(args, " "), err, lastLine(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// RunCommand is docker compose by hand: its outputs and exit code are the command's.
func (s Stack) RunCommand(ctx context.Context, stdin *os.File, args []string) (code int, err error) {
	if err := s.checkPrepared(); err != nil {
		return 0, err
	}
	cmd := s.newCommand(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, s.Out, s.Err
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func (s Stack) checkPrepared() error {
	if _, err := os.Stat(s.envFile()); err != nil {
		return errors.New("nothing is set up for containers here: make up MODE=docker")
	}
	return nil
}

// ensureImages makes sure that every image is there: those of others are pulled where they are missing, ours is built.
func (s Stack) ensureImages(ctx context.Context) error {
	out, err := s.readCompose(ctx, "config", "--images")
	if err != nil {
		return err
	}
	for image := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(image, "pgo/") {
			continue
		}
		if _, err := runDocker(ctx, "image", "inspect", "--format", "{{.Id}}", image); err == nil {
			continue
		}
		fmt.Fprintf(s.Err, "getting %s\n", image)
		if said, err := runDocker(ctx, "pull", "--quiet", image); err != nil {
			return &EngineError{
				fmt.Sprintf("the engine cannot get the image %s: %s", image, lastLine(said)),
				"is there a way to its registry? A mirror goes into /etc/docker/daemon.json (registry-mirrors); an image from elsewhere: docker load",
			}
		}
	}
	var said bytes.Buffer
	cmd := s.newCommand(ctx, "build", "--quiet", runtimePart)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return &EngineError{
			"the runtime image cannot be built: " + strings.TrimSpace(said.String()),
			"is there a way to the registry of its base image, in deploy/runtime/Dockerfile?",
		}
	}
	return nil
}
