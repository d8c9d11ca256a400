package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// account is the user. One that is there already stays as it is.
func (s *setup) account() (Step, error) {
	p, there, err := s.user(s.Options.User)
	if err != nil {
		return Step{}, err
	}
	if there && p.uid == 0 {
		return Step{}, fmt.Errorf("the user %s is root by another name", s.Options.User)
	}
	if shell := filepath.Base(p.shell); there && s.Options.Key != "" && (shell == "nologin" || shell == "false") {
		return Step{}, fmt.Errorf("the user %s has the shell %s, with which sshd runs the key's command: usermod -s /bin/sh %s, or name another --user", s.Options.User, p.shell, s.Options.User)
	}
	// No password is right for it; a locked one ("!") would lock keys out as well on some machines. sshd runs a key's
	// command with the shell.
	args := []string{"useradd", "--system", "--user-group", "--home-dir", s.Options.Dir, "--no-create-home", "--shell", "/bin/sh", "--password", "*", s.Options.User}
	if s.image() {
		args = append([]string{"useradd", "--prefix", s.Options.Root}, args[1:]...)
	}
	return Step{"the user " + s.Options.User, []Action{&command{setup: s, args: args, done: func(context.Context) (bool, error) { return there, nil }}}}, nil
}

// key is the one that can do nothing but deploy.
func (s *setup) key() (Step, error) {
	if s.Options.Key == "" {
		return Step{}, nil
	}
	home := s.Options.Dir
	if p, there, err := s.user(s.Options.User); err != nil {
		return Step{}, err
	} else if there {
		home = p.home
	}
	words := strings.Fields(s.Options.Key)
	as := "ci"
	if len(words) > 2 {
		as = words[2]
	}
	if !asForm.MatchString(as) {
		return Step{}, fmt.Errorf("the key's comment %q becomes its name in the audit log: expected letters, digits and . _ @ -", as)
	}
	line := fmt.Sprintf("command=%q,restrict %s %s %s", fmt.Sprintf("%s/bin/pgo receive --home %s/.pgo --as %s", s.Options.Dir, s.Options.Dir, as), words[0], words[1], as)
	name := filepath.Join(home, ".ssh", "authorized_keys")
	text, err := os.ReadFile(s.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && (s.Machine.UID == 0 || !errors.Is(err, fs.ErrPermission)) {
		return Step{}, fmt.Errorf("read the keys of %s: %w", s.Options.User, err)
	}
	all := string(text)
	if all != "" && !strings.HasSuffix(all, "\n") {
		all += "\n"
	}
	there := false
	for is := range strings.Lines(all) {
		is = strings.TrimSpace(is)
		if is == line {
			there = true
		} else if strings.Contains(is, words[1]) && !strings.HasPrefix(is, "#") {
			return Step{}, fmt.Errorf("%s has this key with other rights; sshd takes the first line that it finds: remove it there, or use another key", name)
		}
	}
	if !there {
		all += line + "\n"
	}
	return Step{"a key that can only deploy, " + as, []Action{
		&folder{s, filepath.Dir(name), s.Options.User, 0o700},
		&file{setup: s, name: name, text: all, owner: s.Options.User, mode: 0o600},
	}}, nil
}

var asForm = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}$`)
