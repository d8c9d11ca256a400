// Package home defines the layout of pgo's state directory.
package home

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/audit"
)

// Home is the absolute path of pgo's state directory (PGO_HOME). One manager runs on it.
type Home string

// LogDir returns the directory of the processes' logs, NAME.log each, and of the manager's own, pgo.log.
func (h Home) LogDir() string { return filepath.Join(string(h), "logs") }

// LogPath returns the log file of a process; the name "pgo" stands for the manager.
func (h Home) LogPath(name string) string { return filepath.Join(h.LogDir(), name+".log") }

func (h Home) statePath(name string) string { return filepath.Join(string(h), "state", name) }

// ProcessesPath returns the file that lists started processes, so that the next manager finds those of a killed one.
func (h Home) ProcessesPath() string { return h.statePath("processes.json") }

// ReleaseDir returns the directory of the release store.
func (h Home) ReleaseDir() string { return filepath.Join(string(h), "releases") }

// AuditLog returns the log of all deploys.
func (h Home) AuditLog() audit.Log { return audit.Log(filepath.Join(string(h), "audit.jsonl")) }

// RolloutPath returns the journal of a running deploy, from which an interrupted one is rolled back.
func (h Home) RolloutPath() string { return h.statePath("rollout.json") }

// UnitRolloutPath returns the journal of a running deploy under systemd. The two formats are not compatible.
func (h Home) UnitRolloutPath() string { return h.RolloutPath() + ".systemd" }

// DeployLockPath returns the file that a running deploy holds locked. Its content names the deployer.
func (h Home) DeployLockPath() string { return h.statePath("deploy.lock") }

// EventsPath returns the event file, one JSON object a line.
func (h Home) EventsPath() string { return filepath.Join(string(h), "events.jsonl") }

// PreviousEventsPath returns the rotated event file.
func (h Home) PreviousEventsPath() string { return filepath.Join(string(h), "events.1.jsonl") }

// ProgramPath returns the copy of pgo from which managers are started after an upgrade.
func (h Home) ProgramPath(name string) string { return h.statePath("pgo-" + name) }

// ErrLogPath returns the log file of a process's stderr, for processes that log it separately.
func (h Home) ErrLogPath(name string) string { return filepath.Join(h.LogDir(), name+".err.log") }

// AllowTraversal lets other users pass through the home without reading it: a process of another user runs from its releases.
func (h Home) AllowTraversal() error {
	for _, dir := range []string{string(h), h.ReleaseDir()} {
		if err := os.Chmod(dir, 0o711); err != nil {
			return fmt.Errorf("open pgo's home to other users: %w", err)
		}
	}
	return nil
}

// CreateDirs creates the directories, closed to other users. Its error names the directory that cannot be written.
func (h Home) CreateDirs() error {
	for _, dir := range []string{string(h), h.LogDir(), h.statePath("")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("create pgo's home: %w; set PGO_HOME to a directory you may write", err)
		}
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			return fmt.Errorf("pgo's home: %s cannot be written: %w; set PGO_HOME to a directory you may write", dir, err)
		}
	}
	return nil
}

// SocketDir creates and returns the directory of the manager's sockets, which only its owner can enter. It returns an error if
// another user created the directory.
func (h Home) SocketDir(getenv func(string) string) (string, error) {
	dir := h.socketDirPath(getenv)
	return dir, CreatePrivateDir(dir)
}

// DefaultSocket returns the path of the control socket of a manager that was started in this environment.
func (h Home) DefaultSocket(getenv func(string) string) string {
	return SocketPath(h.socketDirPath(getenv))
}

// SocketPath returns the path of the control socket in the directory of the sockets.
func SocketPath(dir string) string { return filepath.Join(dir, "pgo.sock") }

// socketDirPath returns the path of the directory of the sockets. It is short, since a socket's path ends at 108 bytes.
func (h Home) socketDirPath(getenv func(string) string) string {
	sum := sha256.Sum256([]byte(h))
	name := "pgo-" + hex.EncodeToString(sum[:6])
	if runtime := getenv("XDG_RUNTIME_DIR"); runtime != "" && !endsWithLogin(runtime) && unix.Access(runtime, unix.W_OK|unix.X_OK) == nil {
		if dir := filepath.Join(runtime, name); fitsSocketPath(dir) {
			return dir
		}
	}
	// Other users may write the temporary directory: the user ID keeps users apart.
	name = fmt.Sprintf("pgo-%d-%s", os.Getuid(), name[len("pgo-"):])
	dir := filepath.Join(os.TempDir(), name)
	if !fitsSocketPath(dir) {
		dir = filepath.Join("/tmp", name)
	}
	return dir
}

// endsWithLogin reports whether a directory belongs to a login: it disappears at the logout, which pgo outlives.
func endsWithLogin(dir string) bool { return strings.HasPrefix(filepath.Clean(dir), "/run/user/") }

// fitsSocketPath reports whether the longest socket name fits behind dir.
func fitsSocketPath(dir string) bool { return len(dir)+len("/")+32+len(".63.9999999999.notify") < 108 }

// CreatePrivateDir creates a directory, or closes an existing one to other users. It returns an error if that is another user's.
func CreatePrivateDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("create the directory of pgo's sockets: %w", err)
	}
	// Lstat: a link that another user put there must not lead elsewhere.
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("check the directory of pgo's sockets: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("the directory of pgo's sockets, %s, belongs to another user: remove it, or set XDG_RUNTIME_DIR to a directory of your own", dir)
	}
	if info.Mode().Perm() != 0o700 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("close the directory of pgo's sockets to other users: %w", err)
		}
	}
	return nil
}

// ManagerAddr is the address of a home's manager. It is stored in the home, since a command's environment may name another
// temporary directory than the manager's did.
type ManagerAddr struct {
	PID    int    `json:"pid"`
	Socket string `json:"socket"`
}

// WriteManager stores the manager's address. Only the holder of the lock may call it.
func (h Home) WriteManager(m ManagerAddr) error {
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return ReplaceFile(h.statePath("manager.json"), content)
}

// RemoveManager removes the stored address.
func (h Home) RemoveManager() { _ = os.Remove(h.statePath("manager.json")) }

// ReadManager returns the stored address. Its manager may have been killed since.
func (h Home) ReadManager() (ManagerAddr, error) {
	var m ManagerAddr
	content, err := os.ReadFile(h.statePath("manager.json"))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(content, &m)
}

// ReplaceFile replaces a file's content atomically: a reader finds the old content or the new. It does not sync to disk:
// state only has to outlive the process, not the machine.
func ReplaceFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
