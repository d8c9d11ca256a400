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

// planAccount plans the user that pgo runs as. A user that exists stays as it is.
func (p *planner) planAccount() (Step, error) {
	user, exists, err := p.findUser(p.Options.User)
	if err != nil {
		return Step{}, err
	}
	if exists && user.uid == 0 {
		return Step{}, fmt.Errorf("the user %s is root by another name", p.Options.User)
	}
	if shell := filepath.Base(user.shell); exists && p.Options.Key != "" && (shell == "nologin" || shell == "false") {
		return Step{}, fmt.Errorf("the user %s has the shell %s, with which sshd runs the key's command: usermod -s /bin/sh %s, or name another --user", p.Options.User, user.shell, p.Options.User)
	}
	// "*" matches no password; a locked one ("!") would lock out keys as well on some machines. sshd runs a key's command
	// with the shell.
	args := []string{"useradd", "--system", "--user-group", "--home-dir", p.Options.Dir, "--no-create-home", "--shell", "/bin/sh", "--password", "*", p.Options.User}
	if p.isImage() {
		args = append([]string{"useradd", "--prefix", p.Options.Root}, args[1:]...)
	}
	return Step{"the user " + p.Options.User, []Action{&command{planner: p, args: args, isDone: func(context.Context) (bool, error) { return exists, nil }}}}, nil
}

// planKey plans the line of authorized_keys whose key can do nothing but deploy.
func (p *planner) planKey() (Step, error) {
	if p.Options.Key == "" {
		return Step{}, nil
	}
	home := p.Options.Dir
	if user, exists, err := p.findUser(p.Options.User); err != nil {
		return Step{}, err
	} else if exists {
		home = user.home
	}
	words := strings.Fields(p.Options.Key)
	identity := "ci"
	if len(words) > 2 {
		identity = words[2]
	}
	if !identityForm.MatchString(identity) {
		return Step{}, fmt.Errorf("the key's comment %q becomes its name in the audit log: expected letters, digits and . _ @ -", identity)
	}
	line := fmt.Sprintf("command=%q,restrict %s %s %s", fmt.Sprintf("%s/bin/pgo receive --home %s/.pgo --as %s", p.Options.Dir, p.Options.Dir, identity), words[0], words[1], identity)
	name := filepath.Join(home, ".ssh", "authorized_keys")
	text, err := os.ReadFile(p.hostPath(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && (p.Machine.UID == 0 || !errors.Is(err, fs.ErrPermission)) {
		return Step{}, fmt.Errorf("read the keys of %s: %w", p.Options.User, err)
	}
	keys := string(text)
	if keys != "" && !strings.HasSuffix(keys, "\n") {
		keys += "\n"
	}
	isListed := false
	for existing := range strings.Lines(keys) {
		existing = strings.TrimSpace(existing)
		if existing == line {
			isListed = true
		} else if strings.Contains(existing, words[1]) && !strings.HasPrefix(existing, "#") {
			return Step{}, fmt.Errorf("%s has this key with other rights; sshd takes the first line that it finds: remove it there, or use another key", name)
		}
	}
	if !isListed {
		keys += line + "\n"
	}
	return Step{"a key that can only deploy, " + identity, []Action{
		&directory{p, filepath.Dir(name), p.Options.User, 0o700},
		&file{planner: p, name: name, text: keys, owner: p.Options.User, mode: 0o600},
	}}, nil
}

var identityForm = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}$`)
