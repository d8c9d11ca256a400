// Package checkout describes a checkout of pgo and its home (PGO_HOME), the directory of its state: files, secrets, ports and
// processes.
package checkout

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// Checkout is a checkout and its state folder. Both paths are absolute.
type Checkout struct {
	Root string // the checkout: the folder of go.work
	Home string // PGO_HOME
}

// Find takes the checkout from dir or the nearest folder above it that has a go.work, and the state folder from
// PGO_HOME, else .pgo in the checkout.
func Find(dir string, getenv func(string) string) (Checkout, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return Checkout{}, err
	}
	for !isFile(filepath.Join(root, "go.work")) {
		if root == filepath.Dir(root) {
			return Checkout{}, fmt.Errorf("no checkout of pgo (a folder with go.work) at %s or above", dir)
		}
		root = filepath.Dir(root)
	}
	state := getenv("PGO_HOME")
	switch {
	case state == "":
		state = filepath.Join(root, ".pgo")
	case !filepath.IsAbs(state):
		state = filepath.Join(root, state)
	}
	if i := strings.IndexFunc(state, isUnusableInPath); i >= 0 {
		return Checkout{}, fmt.Errorf("the state folder's path has %q in it, which MariaDB's and nginx' own programs cannot take: name another one with PGO_HOME: %s", state[i:i+1], state)
	}
	return Checkout{Root: root, Home: filepath.Clean(state)}, nil
}

// isUnusableInPath reports what a shell script or nginx' configuration would take for something else than a path.
func isUnusableInPath(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("\"'`$&;|<>(){}*?\\", r)
}

// Path is a path inside the state folder.
func (co Checkout) Path(parts ...string) string {
	return filepath.Join(append([]string{co.Home}, parts...)...)
}

// ProgramPath is one of the checkout's programs.
func (co Checkout) ProgramPath(name string) string { return filepath.Join(co.Root, "bin", name) }

// homeMarker is the file by which a state folder is known. A folder of somebody else's must never become one: it would be
// removed with all that is in it.
const homeMarker = "pgo-home"

// OwnsHome says whether the state folder is one that MakeHome made.
func (co Checkout) OwnsHome() bool { return isFile(co.Path(homeMarker)) }

// MakeHome makes the state folder, closed to others. It refuses a folder that holds something and is not pgo's.
func (co Checkout) MakeHome() error {
	if entries, err := os.ReadDir(co.Home); err == nil && len(entries) > 0 && !co.OwnsHome() {
		return fmt.Errorf("%s holds something and is no state folder of pgo: name another one with PGO_HOME", co.Home)
	}
	for _, dir := range []string{"", "secrets", "data", "etc", "logs", "mail", "state"} {
		if err := os.MkdirAll(co.Path(dir), 0o700); err != nil {
			return fmt.Errorf("make the state folder: %w", err)
		}
	}
	if err := os.WriteFile(co.Path(homeMarker), []byte("pgo keeps its state here; make clean removes this folder.\n"), 0o600); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	for _, dir := range []string{"", "secrets"} {
		if err := os.Chmod(co.Path(dir), 0o700); err != nil {
			return fmt.Errorf("close the state folder to others: %w", err)
		}
	}
	return nil
}

// RemoveHome deletes the state folder with all data. It refuses a folder that is not one.
func (co Checkout) RemoveHome() error {
	if _, err := os.Stat(co.Home); os.IsNotExist(err) {
		return nil
	}
	if !co.OwnsHome() {
		return fmt.Errorf("%s is no state folder of pgo: not removed", co.Home)
	}
	return os.RemoveAll(co.Home)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
