package hostsetup

import (
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

// Machine is the access to the machine.
type Machine struct {
	UID     int
	Getenv  func(string) string
	Command func(ctx context.Context, name string, args ...string) (string, error) // returns its output
}

// planner finds out what is left to do on a machine.
type planner struct {
	Options Options
	Machine Machine
}

// hostPath returns where this process finds a file of the machine.
func (p *planner) hostPath(name string) string { return filepath.Join(p.Options.Root, name) }

// isImage reports whether an image is set up rather than this machine.
func (p *planner) isImage() bool { return p.Options.Root != "/" }

// hasSystemd reports whether systemd starts the machine.
func (p *planner) hasSystemd() bool {
	sign := "/run/systemd/system"
	if p.isImage() {
		sign = "/lib/systemd/systemd"
	}
	_, err := os.Stat(p.hostPath(sign))
	return err == nil
}

// findProgram returns the path of a program of the machine. Where there is none, the error ends with the advice.
func (p *planner) findProgram(name, advice string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(p.hostPath(path)); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no %s here: %s", name, advice)
}

// statFile returns what the machine has under a name, or nil where it has nothing. It follows no link: in a directory of
// pgo's user a link may lead to another user's file.
func (p *planner) statFile(name string) (fs.FileInfo, error) {
	stat := os.Lstat
	if name == p.Options.Dir { // only root can have made that a link
		stat = os.Stat
	}
	info, err := stat(p.hostPath(name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && p.Machine.UID != 0 {
		return nil, nil
	}
	return info, err
}

func (p *planner) hasOwnerAndMode(info fs.FileInfo, owner string, mode os.FileMode) bool {
	uid, gid, err := p.findIDs(owner)
	stat, ok := info.Sys().(*syscall.Stat_t)
	return err == nil && ok && int(stat.Uid) == uid && int(stat.Gid) == gid && info.Mode().Perm() == mode
}

// setOwnerAndMode changes the owner, the group and the mode of a file or directory.
func (p *planner) setOwnerAndMode(path, owner string, mode os.FileMode) error {
	uid, gid, err := p.findIDs(owner)
	if err != nil {
		return err
	}
	if err := os.Lchown(path, uid, gid); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// passwd is a user's line in /etc/passwd.
type passwd struct {
	uid, gid    int
	home, shell string
}

// findUser finds a user in /etc/passwd, or on a running machine with getent, which also knows users of LDAP.
func (p *planner) findUser(name string) (passwd, bool, error) {
	text, err := os.ReadFile(p.hostPath("/etc/passwd"))
	if err != nil {
		return passwd{}, false, fmt.Errorf("look for the user %s: %w", name, err)
	}
	if !p.isImage() && !strings.Contains("\n"+string(text), "\n"+name+":") {
		output, _ := p.Machine.Command(context.Background(), "getent", "passwd", name) // it prints nothing for an unknown user
		text = append(append(text, '\n'), output...)
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

// findIDs returns the IDs of a user and its group. In an image, root's files get the owner of this process.
func (p *planner) findIDs(name string) (uid, gid int, err error) {
	if name == "root" {
		if p.isImage() {
			return p.Machine.UID, os.Getegid(), nil
		}
		return 0, 0, nil
	}
	user, exists, err := p.findUser(name)
	if err == nil && !exists {
		err = fmt.Errorf("there is no user %s", name)
	}
	return user.uid, user.gid, err
}
