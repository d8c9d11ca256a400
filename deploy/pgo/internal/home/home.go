// Package home knows pgo's state folder, and which files in it are whose.
package home

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/audit"
)

// Home is pgo's state folder (PGO_HOME), an absolute path. One manager runs on it.
type Home string

// LogDir is the folder of the processes' output, NAME.log each, and of pgo.log, the manager's own.
func (h Home) LogDir() string { return filepath.Join(string(h), "logs") }

// LogPath is the file of a process's output; "pgo" is the manager.
func (h Home) LogPath(name string) string { return filepath.Join(h.LogDir(), name+".log") }

func (h Home) statePath(name string) string { return filepath.Join(string(h), "state", name) }

// ProcessesPath is the file that lists what was started, so that the next manager finds what a killed one left behind.
func (h Home) ProcessesPath() string { return h.statePath("processes.json") }

// ReleaseDir is the folder of the store of programs.
func (h Home) ReleaseDir() string { return filepath.Join(string(h), "releases") }

// AuditLog is the log of who deployed what.
func (h Home) AuditLog() audit.Log { return audit.Log(filepath.Join(string(h), "audit.jsonl")) }

// RolloutPath is the file that says which deploy is being made real, so that one that was cut off is put back.
func (h Home) RolloutPath() string { return h.statePath("rollout.json") }

// UnitRolloutPath is the same where systemd runs what is deployed. Neither would understand the other's.
func (h Home) UnitRolloutPath() string { return h.RolloutPath() + ".systemd" }

// DeployLockPath is the file that whoever deploys has locked. It says who that is.
func (h Home) DeployLockPath() string { return h.statePath("deploy.lock") }

// EventsPath is the file of what happened, one JSON object a line.
func (h Home) EventsPath() string { return filepath.Join(string(h), "events.jsonl") }

// PreviousEventsPath is the file before Events.
func (h Home) PreviousEventsPath() string { return filepath.Join(string(h), "events.1.jsonl") }

// ProgramPath is where a copy of pgo is kept that managers are started from after an upgrade.
func (h Home) ProgramPath(name string) string { return h.statePath("pgo-" + name) }

// ErrLogPath is the file of a process's stderr where that has one of its own.
func (h Home) ErrLogPath(name string) string { return filepath.Join(h.LogDir(), name+".err.log") }

// AllowTraversal lets others pass through the home, not read it: a process of another user runs from the releases in it.
func (h Home) AllowTraversal() error {
	for _, dir := range []string{string(h), h.ReleaseDir()} {
		if err := os.Chmod(dir, 0o711); err != nil {
			return fmt.Errorf("let others pass through pgo's home: %w", err)
		}
	}
	return nil
}

// CreateDirs creates the folders, closed to others. Its error says which folder cannot be written.
func (h Home) CreateDirs() error {
	for _, dir := range []string{string(h), h.LogDir(), h.statePath("")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make pgo's home: %w; set PGO_HOME to a folder you may write", err)
		}
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			return fmt.Errorf("pgo's home: %s cannot be written: %w; set PGO_HOME to a folder you may write", dir, err)
		}
	}
	return nil
}

// ErrLocked is returned where a manager runs on the home already.
var ErrLocked = errors.New("a manager already runs on this home")

// Lock takes the home for this process, until the file is closed or the process ends. The error is ErrLocked while
// another has it.
func (h Home) Lock() (*os.File, error) {
	f, err := os.OpenFile(h.statePath("manager.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock pgo's home: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock pgo's home: %w", err)
	}
	return f, nil
}

// SocketDir makes and returns the folder of the manager's sockets: a short path, since a socket's path ends at 108
// bytes, that only its owner can enter. Where a stranger made it first the error says so.
func (h Home) SocketDir(getenv func(string) string) (string, error) {
	sum := sha256.Sum256([]byte(h))
	name := "pgo-" + hex.EncodeToString(sum[:6])
	if runtime := getenv("XDG_RUNTIME_DIR"); runtime != "" && unix.Access(runtime, unix.W_OK|unix.X_OK) == nil {
		if dir := filepath.Join(runtime, name); fitsSocketPath(dir) {
			return dir, makePrivate(dir)
		}
	}
	// Others may write the temporary folder: the user's number keeps users apart.
	name = fmt.Sprintf("pgo-%d-%s", os.Getuid(), name[len("pgo-"):])
	dir := filepath.Join(os.TempDir(), name)
	if !fitsSocketPath(dir) {
		dir = filepath.Join("/tmp", name)
	}
	return dir, makePrivate(dir)
}

// fitsSocketPath leaves room for the longest name of a process and what is around it.
func fitsSocketPath(dir string) bool { return len(dir)+len("/")+32+len(".63.9999999999.notify") < 108 }

func makePrivate(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the folder of pgo's sockets: %w", err)
	}
	// Lstat: a link that a stranger put there must not lead us elsewhere.
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the folder of pgo's sockets: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("the folder of pgo's sockets, %s, was made by someone else: remove it, or set XDG_RUNTIME_DIR to a folder of your own", dir)
	}
	if info.Mode().Perm() != 0o700 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("close the folder of pgo's sockets to others: %w", err)
		}
	}
	return nil
}

// ManagerAddr is where the manager of a home answers. It is kept in the home, since the environment of a command may name
// other temporary folders than the manager's did.
type ManagerAddr struct {
	PID    int    `json:"pid"`
	Socket string `json:"socket"`
}

// WriteManager records the manager; only the holder of the lock does so.
func (h Home) WriteManager(m ManagerAddr) error {
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return ReplaceFile(h.statePath("manager.json"), content)
}

// RemoveManager forgets it.
func (h Home) RemoveManager() { _ = os.Remove(h.statePath("manager.json")) }

// ReadManager returns what was recorded last; that manager may have been killed since.
func (h Home) ReadManager() (ManagerAddr, error) {
	var m ManagerAddr
	content, err := os.ReadFile(h.statePath("manager.json"))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(content, &m)
}

// ReplaceFile writes a file whole: who reads it finds the old content or the new. It does not wait for the disk: state
// matters only until the machine ends.
func ReplaceFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
