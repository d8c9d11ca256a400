// Package doctor checks whether a machine is ready to be deployed to, and says what to do where it is not.
package doctor

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
)

// Finding is the result of one check.
type Finding struct {
	Subject string `json:"what"`
	OK      bool   `json:"ok"`
	Text    string `json:"text"`
	Advice  string `json:"try,omitempty"` // what to do if OK is false
}

// Machine is the machine to check, as the user that pgo runs as sees it.
type Machine struct {
	Home     home.Home
	Version  string // of this pgo
	UserHome string // the user's home directory, $HOME
	Root     string // root of the file system; / except in tests
}

// minFreeBytes is the space that a deploy of a few services takes, with the releases that are kept.
const minFreeBytes = 1 << 30

// Inspect runs all checks. It changes nothing.
func (h Machine) Inspect(ctx context.Context) []Finding {
	all := []Finding{h.checkHome(), h.checkDisk()}
	client, err := control.Connect(ctx, h.Home)
	if err != nil {
		all = append(all, Finding{Subject: "pgo", Text: err.Error(), Advice: "pgo up"})
	} else {
		all = append(all, h.checkVersion(client), h.checkDeployable(ctx, client))
	}
	return append(all, h.checkDeployKey(), h.checkPorts())
}

// checkHome checks that other users cannot read pgo's state.
func (h Machine) checkHome() Finding {
	f := Finding{Subject: "home"}
	info, err := os.Stat(string(h.Home))
	if errors.Is(err, fs.ErrNotExist) {
		f.Text, f.Advice = "there is no "+string(h.Home), "pgo up makes it; or name it with --home"
		return f
	}
	if err != nil {
		f.Text = err.Error()
		return f
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && int(owner.Uid) != os.Geteuid():
		f.Text, f.Advice = fmt.Sprintf("%s belongs to user %d, and this is %d", h.Home, owner.Uid, os.Geteuid()), "run pgo doctor as the user that pgo runs as"
	case info.Mode().Perm()&0o066 != 0:
		f.Text, f.Advice = fmt.Sprintf("%s is open to others (%s)", h.Home, info.Mode().Perm()), "chmod go-rw "+string(h.Home)
	default:
		f.OK, f.Text = true, string(h.Home)+", closed to others"
	}
	return f
}

func (h Machine) checkDisk() Finding {
	f := Finding{Subject: "disk"}
	var s unix.Statfs_t
	if err := unix.Statfs(string(h.Home), &s); err != nil {
		f.Text = err.Error()
		return f
	}
	free := int64(s.Bavail) * s.Bsize
	f.OK, f.Text = free >= minFreeBytes, fmt.Sprintf("%.1f GB are free", float64(free)/1e9)
	if !f.OK {
		f.Advice = "make room, or keep fewer releases (watch: {keep: 3} in the process file)"
	}
	return f
}

func (h Machine) checkVersion(c *control.Client) Finding {
	f := Finding{Subject: "pgo", OK: c.Version() == h.Version, Text: "runs, version " + c.Version()}
	if !f.OK {
		f.Text, f.Advice = f.Text+", and this program is "+h.Version, "pgo upgrade"
	}
	return f
}

// checkDeployable checks that some process can be deployed and that its deploy directory can be written.
func (h Machine) checkDeployable(ctx context.Context, c *control.Client) Finding {
	f := Finding{Subject: "services"}
	all, err := c.ListDeployables(ctx)
	if err != nil {
		f.Text = err.Error()
		return f
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
		if dir := filepath.Dir(d.File); unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
			f.Text, f.Advice = fmt.Sprintf("%s is deployed to %s, which this user cannot write", d.Name, dir), "give the directory to the user that pgo runs as"
			return f
		}
	}
	if f.OK = len(all) > 0; !f.OK {
		f.Text, f.Advice = "no process can be deployed", "set watch: true for the services in the process file, then pgo apply"
		return f
	}
	f.Text = strings.Join(names, ", ") + " can be deployed"
	return f
}

// checkDeployKey checks that an SSH key exists that permits nothing but deploys.
func (h Machine) checkDeployKey() Finding {
	f := Finding{Subject: "deploy key", Advice: `in ~/.ssh/authorized_keys: command="pgo receive --home ` + string(h.Home) + ` --as ci",restrict ssh-ed25519 AAAA...`}
	text, err := os.ReadFile(filepath.Join(h.UserHome, ".ssh", "authorized_keys"))
	if err != nil {
		f.Text = err.Error()
		return f
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || !strings.Contains(line, "pgo receive") {
			continue
		}
		options, _, _ := strings.Cut(line, " ssh-")
		if !slices.Contains(strings.Split(options, ","), "restrict") {
			f.Text = "a key with pgo receive has no `restrict`: it can forward ports"
			return f
		}
		f.OK, f.Advice, f.Text = true, "", "a key can do nothing but deploy"
	}
	if f.Text == "" {
		f.Text = "no key is for deploys only"
	}
	return f
}

// checkPorts lists the ports that other machines reach unless a firewall is in between. SSH and the gateway belong there;
// which those are is for a person to judge.
func (h Machine) checkPorts() Finding {
	f := Finding{Subject: "ports", OK: true}
	open := map[int]bool{}
	for _, file := range []string{"tcp", "tcp6"} {
		if err := readListening(filepath.Join(h.Root, "proc", "net", file), open); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Finding{Subject: f.Subject, Text: err.Error()}
		}
	}
	var ports []int
	for port := range open {
		ports = append(ports, port)
	}
	slices.Sort(ports)
	f.Text = "none listens on an address that other machines reach"
	if len(ports) > 0 {
		f.Text = fmt.Sprintf("other machines reach %s, as far as no firewall is in between: only SSH and the gateway should be among them", strings.Trim(fmt.Sprint(ports), "[]"))
	}
	return f
}

// readListening adds the ports of a kernel table that are bound to more than loopback.
func readListening(path string, open map[int]bool) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("check the open ports: %w", err)
	}
	defer file.Close()
	const listen = "0A"
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 4 || words[3] != listen {
			continue
		}
		address, port, _ := strings.Cut(words[1], ":")
		raw, err := hex.DecodeString(address)
		n, err2 := strconv.ParseUint(port, 16, 16)
		if err != nil || err2 != nil || len(raw)%4 != 0 {
			continue
		}
		for i := 0; i < len(raw); i += 4 { // words in this machine's byte order: little-endian on both architectures that pgo is built for
			slices.Reverse(raw[i : i+4])
		}
		if !net.IP(raw).IsLoopback() {
			open[int(n)] = true
		}
	}
	return lines.Err()
}
