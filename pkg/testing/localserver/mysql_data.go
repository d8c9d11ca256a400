package localserver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// makeData creates the data directory unless it exists. Only one process at a time does so for one directory.
func (m MySQL) makeData(ctx context.Context, server string) error {
	unlock, err := lockFile(m.Data + ".lock")
	if err != nil {
		return err
	}
	defer unlock()

	if isMySQLData(m.Data) {
		return nil
	}
	// An empty directory may be replaced; anything else belongs to the user.
	if err := os.Remove(m.Data); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("%s has files, but not those of a MySQL server; move them away: %w", m.Data, err)
	}
	partial := m.Data + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("remove an unfinished data directory: %w", err)
	}
	if err := os.Mkdir(partial, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := m.installData(ctx, server, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, m.Data); err != nil {
		return fmt.Errorf("move the data directory to its place: %w", err)
	}
	return nil
}

func (m MySQL) installData(ctx context.Context, server, dir string) error {
	ask := exec.CommandContext(ctx, server, "--no-defaults", "--version")
	ask.Env = serverEnviron(dir)
	version, err := ask.CombinedOutput()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w: %s", server, err, outputTail(version))
	}
	program, args := server, []string{"--no-defaults", "--initialize-insecure", "--datadir=" + dir}
	if bytes.Contains(version, []byte("MariaDB")) {
		if program, err = m.Programs.MySQLInstall(); err != nil {
			return err
		}
		// With the method "socket" no account is without a password. --force: the machine's own name need
		// not resolve, which it does not in many containers.
		args = []string{"--no-defaults", "--datadir=" + dir, "--skip-test-db", "--skip-name-resolve", "--force",
			"--auth-root-authentication-method=socket"}
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = serverEnviron(dir, "TMPDIR="+m.temporaryDir())
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the data directory with %s: %w: %s", program, err, outputTail(out))
	}
	if !isMySQLData(dir) {
		return fmt.Errorf("%s ended well but made no system tables in %s", program, dir)
	}
	return nil
}

func isMySQLData(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "mysql"))
	return err == nil && info.IsDir()
}

// outputTail returns the end of a program's output, for an error.
func outputTail(out []byte) string {
	s := strings.TrimSpace(string(out))
	if len(s) > 600 {
		s = "..." + s[len(s)-600:]
	}
	return s
}
