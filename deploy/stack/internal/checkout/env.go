package checkout

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

func (co Checkout) envFile() string { return co.Path("env") }

// ReadEnv reads the env file. It returns an empty map if there is none.
func (co Checkout) ReadEnv() (map[string]string, error) { return ReadEnvFile(co.envFile()) }

// ReadEnvFile reads lines of the form KEY=value. It returns an empty map if the file does not exist.
func ReadEnvFile(path string) (map[string]string, error) {
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

// ErrRunning is returned for changes that are not possible while the stack runs.
var ErrRunning = errors.New("the stack runs: make down first")

// ChooseAddresses chooses every address and writes the env file. offset is PORT_OFFSET, or "" if it is not set. addMore, unless it
// is nil, adds values that depend on the addresses. While processes of this home run it returns the old values, and ErrRunning for
// another offset.
func (co Checkout) ChooseAddresses(offset, environment string, addMore func(env map[string]string)) (map[string]string, error) {
	old, err := co.ReadEnv()
	if err != nil {
		return nil, err
	}
	if len(old) > 0 && len(co.FindProcesses()) > 0 {
		if offset != "" && offset != old["PORT_OFFSET"] {
			return nil, fmt.Errorf("PORT_OFFSET=%s is requested, but %w (it runs with PORT_OFFSET=%s)", offset, ErrRunning, old["PORT_OFFSET"])
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
	chosen, err := choosePorts(parsePorts(old), n, co.FindHolder)
	if err != nil {
		return nil, err
	}
	env := map[string]string{"PGO_HOME": co.Home, "PGO_ENV": environment, "PORT_OFFSET": strconv.Itoa(n)}
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
	if addMore != nil {
		addMore(env)
	}
	return env, co.writeEnv(env)
}

func (co Checkout) writeEnv(env map[string]string) error {
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
	if err := renameio.WriteFile(co.envFile(), []byte(content), 0o600, renameio.IgnoreUmask()); err != nil {
		return fmt.Errorf("write the env file: %w", err)
	}
	return nil
}

// PortOf returns the port of an address in the env file.
func PortOf(env map[string]string, key string) (int, error) {
	if port, ok := parsePorts(env)[key]; ok {
		return port, nil
	}
	return 0, fmt.Errorf("the env file has no %s: make up writes it", key)
}
