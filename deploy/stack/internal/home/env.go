package home

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
)

func (h Home) envFile() string { return h.Path("env") }

// Env reads the env file; without one it is empty.
func (h Home) Env() (map[string]string, error) { return ReadEnv(h.envFile()) }

// ReadEnv reads KEY=value lines; without the file there are none.
func ReadEnv(path string) (map[string]string, error) {
	env := map[string]string{}
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return env, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the env file: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), "=")
		if ok && !strings.HasPrefix(key, "#") {
			env[strings.TrimSpace(key)] = value
		}
	}
	return env, lines.Err()
}

// ErrRunning is returned where something cannot change while the stack runs.
var ErrRunning = errors.New("the stack runs: make down first")

// Choose settles every address and writes the env file. offset is what PORT_OFFSET says, "" for nothing. more, where it is not nil,
// adds what follows from the addresses. While processes of this state folder run, everything stays where it is, and asking for
// another offset is ErrRunning.
func (h Home) Choose(offset, environment string, more func(env map[string]string)) (map[string]string, error) {
	old, err := h.Env()
	if err != nil {
		return nil, err
	}
	if len(old) > 0 && len(h.Processes()) > 0 {
		if offset != "" && offset != old["PORT_OFFSET"] {
			return nil, fmt.Errorf("PORT_OFFSET=%s is asked for, but %w (it runs with PORT_OFFSET=%s)", offset, ErrRunning, old["PORT_OFFSET"])
		}
		return old, nil
	}
	if offset == "" {
		offset = "0"
	}
	n, err := strconv.Atoi(offset)
	if err != nil {
		return nil, fmt.Errorf("PORT_OFFSET=%q is not a whole number", offset)
	}
	if environment == "" {
		environment = "dev"
	}
	chosen, err := choosePorts(ports(old), n, h.Holder)
	if err != nil {
		return nil, err
	}
	env := map[string]string{"PGO_HOME": h.Dir, "PGO_ENV": environment, "PORT_OFFSET": strconv.Itoa(n)}
	for key, port := range chosen {
		switch {
		case strings.HasSuffix(key, "_PORT"):
			env[key] = strconv.Itoa(port)
		case key == "RABBITMQ_API":
			env[key] = fmt.Sprintf("http://127.0.0.1:%d", port)
		default:
			env[key] = fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	if more != nil {
		more(env)
	}
	return env, h.writeEnv(env)
}

func (h Home) writeEnv(env map[string]string) error {
	lines := []string{"# Written by `stack prepare`."}
	keys := make([]string, 0, len(env))
	for key := range env {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		lines = append(lines, key+"="+env[key])
	}
	content := strings.Join(lines, "\n") + "\n"
	if err := renameio.WriteFile(h.envFile(), []byte(content), 0o600, renameio.IgnoreUmask()); err != nil {
		return fmt.Errorf("write the env file: %w", err)
	}
	return nil
}

// Port is the port of one of the env file's addresses.
func Port(env map[string]string, key string) (int, error) {
	if port, ok := ports(env)[key]; ok {
		return port, nil
	}
	return 0, fmt.Errorf("the env file has no %s: make up makes it", key)
}
