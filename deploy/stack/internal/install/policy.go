package install

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// A package's installation asks policy-rc.d whether it may start its server; 101 is no.
const (
	policyMark = "# pgo: no server is started while packages are installed"
	policy     = "#!/bin/sh\n" + policyMark + "\nexit 101\n"
	forbidden  = 101
	savedName  = ".before-pgo"
)

// denyStarts puts a policy in place that lets no server start, and returns what puts the old one back. An existing
// policy that says no already is left alone.
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
		return nil, fmt.Errorf("set the policy on starting servers aside: %w", err)
	}
	restore = func() error {
		var err error
		if existed {
			err = os.Rename(saved, path)
		} else {
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("put the policy on starting servers back: %w", err)
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

// recoverPolicy undoes what an installation left that was killed.
func recoverPolicy(path, saved string) error {
	content, err := os.ReadFile(path)
	ours := err == nil && strings.Contains(string(content), policyMark)
	_, savedErr := os.Stat(saved)
	switch {
	case savedErr == nil && (ours || os.IsNotExist(err)):
		return os.Rename(saved, path)
	case ours:
		return os.Remove(path)
	}
	return nil
}

// exitCode runs the program and returns -1 where it cannot be run.
func exitCode(path string, args ...string) int {
	cmd := exec.Command(path, args...)
	_ = cmd.Run() // its exit code is the answer
	if cmd.ProcessState == nil {
		return -1
	}
	return cmd.ProcessState.ExitCode()
}
