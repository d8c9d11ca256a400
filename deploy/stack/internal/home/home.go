// Package home knows pgo's state folder of one checkout: its files, its secrets and its ports.
package home

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// Home is a checkout and its state folder. Both paths are absolute.
type Home struct {
	Root string // the checkout: the folder of go.work
	Dir  string // PGO_HOME
}

// Find takes the checkout from dir or the nearest folder above it that has a go.work, and the state folder from
// PGO_HOME, else .pgo in the checkout.
func Find(dir string, getenv func(string) string) (Home, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return Home{}, err
	}
	for !isFile(filepath.Join(root, "go.work")) {
		if root == filepath.Dir(root) {
			return Home{}, fmt.Errorf("no checkout of pgo (a folder with go.work) at %s or above", dir)
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
	if i := strings.IndexFunc(state, unusable); i >= 0 {
		return Home{}, fmt.Errorf("the state folder's path has %q in it, which MariaDB's and nginx' own programs cannot take: name another one with PGO_HOME: %s", state[i:i+1], state)
	}
	return Home{Root: root, Dir: filepath.Clean(state)}, nil
}

// unusable reports what a shell script or nginx' configuration would take for something else than a path.
func unusable(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("\"'`$&;|<>(){}*?\\", r)
}

// Path is a path inside the state folder.
func (h Home) Path(parts ...string) string {
	return filepath.Join(append([]string{h.Dir}, parts...)...)
}

// Bin is one of the checkout's programs.
func (h Home) Bin(name string) string { return filepath.Join(h.Root, "bin", name) }

// marker is the file by which a state folder is known. A folder of somebody else's must never become one: it would be
// removed with all that is in it.
const marker = "pgo-home"

// Ours says whether the state folder is one that MakeDirs made.
func (h Home) Ours() bool { return isFile(h.Path(marker)) }

// MakeDirs makes the state folder, closed to others. It refuses a folder that holds something and is not pgo's.
func (h Home) MakeDirs() error {
	if entries, err := os.ReadDir(h.Dir); err == nil && len(entries) > 0 && !h.Ours() {
		return fmt.Errorf("%s holds something and is no state folder of pgo: name another one with PGO_HOME", h.Dir)
	}
	for _, dir := range []string{"", "secrets", "data", "etc", "logs", "mail", "state"} {
		if err := os.MkdirAll(h.Path(dir), 0o700); err != nil {
			return fmt.Errorf("make the state folder: %w", err)
		}
	}
	if err := os.WriteFile(h.Path(marker), []byte("pgo keeps its state here; make clean removes this folder.\n"), 0o600); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	for _, dir := range []string{"", "secrets"} {
		if err := os.Chmod(h.Path(dir), 0o700); err != nil {
			return fmt.Errorf("close the state folder to others: %w", err)
		}
	}
	return nil
}

// Remove deletes the state folder with all data. It refuses a folder that is not one.
func (h Home) Remove() error {
	if _, err := os.Stat(h.Dir); os.IsNotExist(err) {
		return nil
	}
	if !h.Ours() {
		return fmt.Errorf("%s is no state folder of pgo: not removed", h.Dir)
	}
	return os.RemoveAll(h.Dir)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
