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

// EngineError reports why containers cannot run here, and a command that helps.
type EngineError struct{ Problem, Remedy string }

func (e *EngineError) Error() string {
	return e.Problem + "\n  " + e.Remedy + "\n  or, without containers: make up MODE=native"
}

const engineTimeout = 10 * time.Second

// CheckEngine returns an *EngineError unless a Docker engine with Compose answers.
func CheckEngine(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return &EngineError{"there is no docker program", "install Docker Engine and its Compose plugin: https://docs.docker.com/engine/install/"}
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	output, err := runDocker(ctx, "info", "--format", "{{.ServerVersion}}")
	switch {
	case err == nil:
	case strings.Contains(output, "permission denied"):
		return &EngineError{"the Docker engine denies you access: " + lastLine(output), "sudo usermod -aG docker $USER, then log in again"}
	case ctx.Err() != nil:
		return &EngineError{"the Docker engine does not answer within " + engineTimeout.String(), "sudo systemctl restart docker"}
	default:
		return &EngineError{"no Docker engine answers: " + lastLine(output), "sudo systemctl start docker"}
	}
	if output, err := runDocker(ctx, "compose", "version", "--short"); err != nil {
		return &EngineError{"docker has no Compose plugin: " + lastLine(output), "install the package docker-compose-plugin"}
	}
	return nil
}

// runDocker runs docker and returns its combined output.
func runDocker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// lastLine returns the last line that is not empty.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// newCommand returns a docker compose command for this stack.
func (s Stack) newCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose", "--env-file", s.envFile()}, args...)...)
	cmd.Dir = s.Checkout.Root
	cmd.Env = os.Environ()
	for key := range s.readValues() {
		// The env file has the values. Variables of the shell would override them and address another stack.
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

// runCompose runs docker compose with its output on Err.
func (s Stack) runCompose(ctx context.Context, args ...string) error {
	cmd := s.newCommand(ctx, args...)
	cmd.Stdout, cmd.Stderr = s.Err, s.Err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("docker compose %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// readCompose runs docker compose and returns its standard output.
func (s Stack) readCompose(ctx context.Context, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := s.newCommand(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("docker compose %s: %w: %s", strings.Join(args, " "), err, lastLine(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// RunCommand runs docker compose for a person and returns its exit code.
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
		return errors.New("nothing is set up for containers here: run make up MODE=docker")
	}
	return nil
}

// ensureImages pulls missing images and builds the runtime's image.
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
		fmt.Fprintf(s.Err, "pulling %s\n", image)
		if output, err := runDocker(ctx, "pull", "--quiet", image); err != nil {
			return &EngineError{
				fmt.Sprintf("the engine cannot pull the image %s: %s", image, lastLine(output)),
				"check the connection to its registry, set a mirror in /etc/docker/daemon.json (registry-mirrors), or load the image: docker load",
			}
		}
	}
	var output bytes.Buffer
	cmd := s.newCommand(ctx, "build", "--quiet", runtimePart)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return &EngineError{
			"the runtime image cannot be built: " + strings.TrimSpace(output.String()),
			"check the connection to the registry of its base image, in deploy/runtime/Dockerfile",
		}
	}
	return nil
}
