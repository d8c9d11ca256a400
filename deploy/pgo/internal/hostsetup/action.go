package hostsetup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Action is one change of the machine.
type Action interface {
	// IsDone reports whether nothing is left to change. It changes nothing.
	IsDone(ctx context.Context) (bool, error)
	// Apply makes the change.
	Apply(ctx context.Context) error
	// String returns a shell command that does the same.
	String() string
}

// Step is a group of actions with one purpose.
type Step struct {
	Purpose string
	Actions []Action
}

// directory is an Action that makes a directory with an owner and a mode.
type directory struct {
	planner     *planner
	name, owner string
	mode        os.FileMode
}

func (f *directory) IsDone(context.Context) (bool, error) {
	info, err := f.planner.statFile(f.name)
	if info == nil {
		return false, err
	}
	if !info.IsDir() {
		return false, fmt.Errorf("%s exists, and is not a directory", f.name)
	}
	return f.planner.hasOwnerAndMode(info, f.owner, f.mode), nil
}

func (f *directory) Apply(context.Context) error {
	path := f.planner.hostPath(f.name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return f.planner.setOwnerAndMode(path, f.owner, f.mode)
}

func (f *directory) String() string {
	return fmt.Sprintf("install -d -o %s -g %s -m %04o %s", f.owner, f.owner, f.mode, f.name)
}

// file is an Action that writes a file: its text, or the content of another file.
type file struct {
	planner     *planner
	name, owner string
	text        string
	from        string // the other file; empty: text
	mode        os.FileMode
}

func (f *file) content() ([]byte, error) {
	if f.from == "" {
		return []byte(f.text), nil
	}
	return os.ReadFile(f.from)
}

func (f *file) IsDone(context.Context) (bool, error) {
	info, err := f.planner.statFile(f.name)
	if info == nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s exists, and is not a file", f.name)
	}
	want, err := f.content()
	if err != nil {
		return false, err
	}
	current, err := os.ReadFile(f.planner.hostPath(f.name))
	if errors.Is(err, fs.ErrPermission) && f.planner.Machine.UID != 0 {
		return false, nil // without root the plan is refused anyway
	}
	return bytes.Equal(current, want) && f.planner.hasOwnerAndMode(info, f.owner, f.mode), err
}

// Apply writes a temporary file and renames it: a running program is not overwritten, and every reader sees a whole file.
func (f *file) Apply(context.Context) error {
	content, err := f.content()
	if err != nil {
		return err
	}
	path := f.planner.hostPath(f.name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".pgo-setup-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // after an error; a renamed file has another name
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := f.planner.setOwnerAndMode(temp.Name(), f.owner, f.mode); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

func (f *file) String() string {
	if f.from != "" {
		return fmt.Sprintf("install -o %s -g %s -m %04o %s %s", f.owner, f.owner, f.mode, f.from, f.name)
	}
	return fmt.Sprintf("install -o %s -g %s -m %04o /dev/stdin %s <<'END'\n%sEND", f.owner, f.owner, f.mode, f.name, f.text)
}

// command is an Action that runs a command unless isDone.
type command struct {
	planner         *planner
	args            []string
	isDone          func(ctx context.Context) (bool, error)
	runsAfterChange bool // it also runs where an earlier action of its step does
}

func (c *command) IsDone(ctx context.Context) (bool, error) { return c.isDone(ctx) }

func (c *command) Apply(ctx context.Context) error {
	output, err := c.planner.Machine.Command(ctx, c.args[0], c.args[1:]...)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", c, err, strings.TrimSpace(output))
	}
	return nil
}

func (c *command) String() string {
	var words []string
	for _, arg := range c.args {
		words = append(words, Quote(arg))
	}
	return strings.Join(words, " ")
}

// Quote makes s one word of a shell command.
func Quote(s string) string {
	if s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+:,./@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
