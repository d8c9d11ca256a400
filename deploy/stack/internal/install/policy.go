package install

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// A package's installation runs policy-rc.d before it starts its server. Exit code 101 forbids the start.
const (
	policyMark = "# pgo: no server is started while packages are installed"
	policy     = "#!/bin/sh\n" + policyMark + "\nexit 101\n"
	forbidden  = 101
	savedName  = ".before-pgo"
)

// denyStarts installs a policy that forbids the start of servers, and returns a function that restores the old policy. It
// leaves an existing policy alone if that forbids starts.
func denyStarts(path string) (restore func() error, err error) {
	saved := path + savedName
	if err := recoverPolicy(path, saved); err != nil {
		return nil, err
	}
	if exitCode(path, "mariadb", "start") == forbidden {
		return func() error { return nil }, nil
	}
	existed := true
	if err := os.Rename(path, saved); os.IsNotExist(err) {
		existed = false
	} else if err != nil {
		return nil, fmt.Errorf("rename the policy on starting servers: %w", err)
	}
	restore = func() error {
		var err error
		if existed {
			err = os.Rename(saved, path)
		} else {
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("restore the policy on starting servers: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := renameio.WriteFile(path, []byte(policy), 0o755, renameio.IgnoreUmask()); err != nil {
		if existed {
			_ = os.Rename(saved, path)
		}
		return nil, fmt.Errorf("write the policy on starting servers: %w", err)
	}
	return restore, nil
}

// recoverPolicy restores the policy after a killed installation.
func recoverPolicy(path, saved string) error {
	content, err := os.ReadFile(path)
	isOwn := err == nil && strings.Contains(string(content), policyMark)
	_, savedErr := os.Stat(saved)
	switch {
	case savedErr == nil && (isOwn || os.IsNotExist(err)):
		return os.Rename(saved, path)
	case isOwn:
		return os.Remove(path)
	}
	return nil
}

// exitCode runs the program and returns its exit code, or -1 if it cannot run.
func exitCode(path string, args ...string) int {
	cmd := exec.Command(path, args...)
	_ = cmd.Run() // the exit code is the result
	if cmd.ProcessState == nil {
		return -1
	}
	return cmd.ProcessState.ExitCode()
}
