// Package home knows pgo's state folder of one checkout: its files, its secrets and its ports.
package home

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	return Home{Root: root, Dir: filepath.Clean(state)}, nil
}

// Path is a path inside the state folder.
func (h Home) Path(parts ...string) string {
	return filepath.Join(append([]string{h.Dir}, parts...)...)
}

// Bin is one of the checkout's programs.
func (h Home) Bin(name string) string { return filepath.Join(h.Root, "bin", name) }

// MakeDirs makes the state folder, closed to others.
func (h Home) MakeDirs() error {
	for _, dir := range []string{"", "secrets", "data", "etc", "logs", "mail", "state"} {
		if err := os.MkdirAll(h.Path(dir), 0o700); err != nil {
			return fmt.Errorf("make the state folder: %w", err)
		}
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
	if !isFile(h.envFile()) && !isDir(h.Path("secrets")) {
		entries, err := os.ReadDir(h.Dir)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			return fmt.Errorf("%s does not look like a state folder of pgo: not removed", h.Dir)
		}
	}
	if h.Dir == h.Root || h.Dir == "/" {
		return errors.New("PGO_HOME is the checkout itself: not removed")
	}
	return os.RemoveAll(h.Dir)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
