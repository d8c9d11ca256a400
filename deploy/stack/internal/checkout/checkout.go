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

// Checkout holds the absolute paths of a checkout and of its home.
type Checkout struct {
	Root string // the directory of go.work
	Home string // PGO_HOME, the directory of the stack's state
}

// Find returns the checkout that contains dir, by its go.work, and the home that PGO_HOME names, else .pgo in the checkout. It
// returns an error if there is no checkout or the home has characters that the servers reject in paths.
func Find(dir string, getenv func(string) string) (Checkout, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return Checkout{}, err
	}
	for !IsFile(filepath.Join(root, "go.work")) {
		if root == filepath.Dir(root) {
			return Checkout{}, fmt.Errorf("no checkout of pgo (a directory with go.work) at %s or above", dir)
		}
		root = filepath.Dir(root)
	}
	home := getenv("PGO_HOME")
	switch {
	case home == "":
		home = filepath.Join(root, ".pgo")
	case !filepath.IsAbs(home):
		home = filepath.Join(root, home)
	}
	if i := strings.IndexFunc(home, isUnusableInPath); i >= 0 {
		return Checkout{}, fmt.Errorf("the home's path has %q in it, which MariaDB's and nginx's programs do not accept: name another one with PGO_HOME: %s", home[i:i+1], home)
	}
	return Checkout{Root: root, Home: filepath.Clean(home)}, nil
}

// isUnusableInPath reports whether r has a meaning in a shell script or nginx's configuration.
func isUnusableInPath(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("\"'`$&;|<>(){}*?\\", r)
}

// Path returns a path inside the home.
func (co Checkout) Path(parts ...string) string {
	return filepath.Join(append([]string{co.Home}, parts...)...)
}

// ProgramPath returns the path of a program in the checkout's bin.
func (co Checkout) ProgramPath(name string) string { return filepath.Join(co.Root, "bin", name) }

// homeMarker is the file that marks a home. A directory with other files must never become one: clean would remove it.
const homeMarker = "pgo-home"

// OwnsHome reports whether MakeHome has created the home.
func (co Checkout) OwnsHome() bool { return IsFile(co.Path(homeMarker)) }

// MakeHome creates the home, closed to other users. It returns an error for a directory with other files.
func (co Checkout) MakeHome() error {
	if entries, err := os.ReadDir(co.Home); err == nil && len(entries) > 0 && !co.OwnsHome() {
		return fmt.Errorf("%s is not empty and not a home of pgo: name another one with PGO_HOME", co.Home)
	}
	for _, dir := range []string{"", "secrets", "data", "etc", "logs", "mail", "state"} {
		if err := os.MkdirAll(co.Path(dir), 0o700); err != nil {
			return fmt.Errorf("create the home: %w", err)
		}
	}
	if err := os.WriteFile(co.Path(homeMarker), []byte("pgo keeps its state here; make clean removes this directory.\n"), 0o600); err != nil {
		return fmt.Errorf("create the home: %w", err)
	}
	for _, dir := range []string{"", "secrets"} {
		if err := os.Chmod(co.Path(dir), 0o700); err != nil {
			return fmt.Errorf("close the home to other users: %w", err)
		}
	}
	return nil
}

// RemoveHome deletes the home with all data. It returns an error for a directory that is not a home.
func (co Checkout) RemoveHome() error {
	if _, err := os.Stat(co.Home); os.IsNotExist(err) {
		return nil
	}
	if !co.OwnsHome() {
		return fmt.Errorf("%s is not a home of pgo: not removed", co.Home)
	}
	return os.RemoveAll(co.Home)
}

// IsFile reports whether path is a regular file.
func IsFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
