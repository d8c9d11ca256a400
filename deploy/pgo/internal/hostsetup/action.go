package hostsetup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// folder is one that has to be there, somebody's and with a mode.
type folder struct {
	setup       *setup
	name, owner string
	mode        os.FileMode
}

func (f *folder) Done(context.Context) (bool, error) {
	info, err := f.setup.stat(f.name)
	if info == nil {
		return false, err
	}
	if !info.IsDir() {
		return false, fmt.Errorf("%s is there, and is no folder", f.name)
	}
	return f.setup.fits(info, f.owner, f.mode), nil
}

func (f *folder) Do(context.Context) error {
	path := f.setup.path(f.name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return f.setup.give(path, f.owner, f.mode)
}

func (f *folder) String() string {
	return fmt.Sprintf("install -d -o %s -g %s -m %04o %s", f.owner, f.owner, f.mode, f.name)
}

// file is one that has to be there with a content: its text, or that of another file.
type file struct {
	setup       *setup
	name, owner string
	text        string
	from        string // the other file
	mode        os.FileMode
}

func (f *file) content() ([]byte, error) {
	if f.from == "" {
		return []byte(f.text), nil
	}
	return os.ReadFile(f.from)
}

func (f *file) Done(context.Context) (bool, error) {
	info, err := f.setup.stat(f.name)
	if info == nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is there, and is no file", f.name)
	}
	want, err := f.content()
	if err != nil {
		return false, err
	}
	is, err := os.ReadFile(f.setup.path(f.name))
	if errors.Is(err, fs.ErrPermission) && f.setup.Machine.UID != 0 {
		return false, nil // it was refused for that already
	}
	return bytes.Equal(is, want) && f.setup.fits(info, f.owner, f.mode), err
}

// Do writes it beside and renames it: a program that runs is not written over, and what is read is whole.
func (f *file) Do(context.Context) error {
	content, err := f.content()
	if err != nil {
		return err
	}
	path := f.setup.path(f.name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(path), ".pgo-setup-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(beside.Name()) }() // where it was not renamed
	_, err = beside.Write(content)
	if err = errors.Join(err, beside.Sync(), beside.Close()); err != nil {
		return err
	}
	if err := f.setup.give(beside.Name(), f.owner, f.mode); err != nil {
		return err
	}
	return os.Rename(beside.Name(), path)
}

func (f *file) String() string {
	if f.from != "" {
		return fmt.Sprintf("install -o %s -g %s -m %04o %s %s", f.owner, f.owner, f.mode, f.from, f.name)
	}
	return fmt.Sprintf("install -o %s -g %s -m %04o /dev/stdin %s <<'END'\n%sEND", f.owner, f.owner, f.mode, f.name, f.text)
}

// command is one that is run where a look says that it has to be.
type command struct {
	setup *setup
	args  []string
	done  func(ctx context.Context) (bool, error)
	after bool // it is run as well where something of its step before it was not done
}

func (c *command) Done(ctx context.Context) (bool, error) { return c.done(ctx) }

func (c *command) Do(ctx context.Context) error {
	said, err := c.setup.Machine.Command(ctx, c.args[0], c.args[1:]...)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", c, err, strings.TrimSpace(said))
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

// Quote makes s one word of a shell's.
func Quote(s string) string {
	if s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+:,./@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// stat looks at a file of the machine; nil where there is none. A link is not followed: in a folder of pgo's user it may
// lead to what is not that user's.
func (s *setup) stat(name string) (fs.FileInfo, error) {
	look := os.Lstat
	if name == s.Options.Dir { // whoever set that up was root
		look = os.Stat
	}
	info, err := look(s.path(name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && s.Machine.UID != 0 {
		return nil, nil
	}
	return info, err
}

func (s *setup) fits(info fs.FileInfo, owner string, mode os.FileMode) bool {
	uid, gid, err := s.ids(owner)
	is, ok := info.Sys().(*syscall.Stat_t)
	return err == nil && ok && int(is.Uid) == uid && int(is.Gid) == gid && info.Mode().Perm() == mode
}

// give makes something the owner's.
func (s *setup) give(path, owner string, mode os.FileMode) error {
	uid, gid, err := s.ids(owner)
	if err != nil {
		return err
	}
	if err := os.Lchown(path, uid, gid); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// passwd is the machine's line about a user.
type passwd struct {
	uid, gid    int
	home, shell string
}

// user finds a user in the machine's own list. Where others are known, by LDAP or so, getent knows them.
func (s *setup) user(name string) (passwd, bool, error) {
	text, err := os.ReadFile(s.path("/etc/passwd"))
	if err != nil {
		return passwd{}, false, fmt.Errorf("look for the user %s: %w", name, err)
	}
	if !s.image() && !strings.Contains("\n"+string(text), "\n"+name+":") {
		said, _ := s.Machine.Command(context.Background(), "getent", "passwd", name) // nothing for nobody
		text = append(append(text, '\n'), said...)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Split(strings.TrimSpace(line), ":")
		if len(words) != 7 || words[0] != name {
			continue
		}
		uid, err1 := strconv.Atoi(words[2])
		gid, err2 := strconv.Atoi(words[3])
		return passwd{uid, gid, words[5], words[6]}, true, errors.Join(err1, err2)
	}
	return passwd{}, false, nil
}

// ids are those of a user; what is root's in an image that somebody else makes is theirs.
func (s *setup) ids(name string) (uid, gid int, err error) {
	if name == "root" {
		if s.image() {
			return s.Machine.UID, os.Getegid(), nil
		}
		return 0, 0, nil
	}
	p, ok, err := s.user(name)
	if err == nil && !ok {
		err = fmt.Errorf("there is no user %s", name)
	}
	return p.uid, p.gid, err
}
