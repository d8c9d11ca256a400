package manager

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/supervise"
)

// copyProgram copies a pgo into the home, under a name made from its content, and checks that it runs here.
func copyProgram(h home.Home, runner *command.Runner, program string) (string, error) {
	in, err := os.Open(program)
	if err != nil {
		return "", fmt.Errorf("upgrade: %w", err)
	}
	defer in.Close()
	half := h.ProgramPath("half")
	out, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o700)
	if err != nil {
		return "", fmt.Errorf("upgrade: %w", err)
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, sum), in)
	if closing := out.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return "", fmt.Errorf("upgrade: copy %s: %w", program, err)
	}
	question := command.Run{Program: half, Args: []string{"version", "--json"}, Dir: "/", Env: os.Environ()}
	if supervise.QueryVersion(context.Background(), runner, question) == "" {
		return "", fmt.Errorf("upgrade: %s does not answer `version --json`: it is no pgo, or not for this machine", program)
	}
	copied := h.ProgramPath(hex.EncodeToString(sum.Sum(nil)[:6]))
	if err := os.Rename(half, copied); err != nil {
		return "", fmt.Errorf("upgrade: %w", err)
	}
	// The one that runs now stays until the next upgrade: the keeper may have to go back to it.
	running, _ := os.Readlink("/proc/self/exe")
	others, _ := filepath.Glob(h.ProgramPath("*")) // the pattern is good
	for _, other := range others {
		if other != copied && other != running {
			_ = os.Remove(other)
		}
	}
	return copied, nil
}

// Upgrade has the keeper start the next manager from a copy of the program: the file itself may be overwritten.
func (m *Manager) Upgrade(program string) error {
	unlock, err := m.deployer.LockRollouts()
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	defer unlock()
	copied, err := copyProgram(m.deps.Home, m.deps.Runner, program)
	if err != nil {
		return err
	}
	return m.deps.Link.UpgradeTo(copied)
}
