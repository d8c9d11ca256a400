package hostsetup

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Values of Options.Run and Options.Firewall.
const (
	Systemd   = "systemd"
	Container = "container"
	NFTables  = "nftables"
	None      = "none"
)

// Options describes the machine that the setup arrives at.
type Options struct {
	Root        string // directory of the file system: / is this machine, else an image, in which nothing is started
	Dir         string // pgo's directory: bin/, configs/, .pgo/
	User        string // runs pgo and the services
	Program     string // path of the pgo that is installed
	Key         string // a public key that may deploy, a line as in authorized_keys; empty: none
	Gateway     []int  // ports of the gateway, which stay open
	SSH         []int  // ports of sshd, which stay open; none: as sshd reports them
	Firewall    string // NFTables or None
	Connections int    // of one address to the gateway; 0: no limit
	Run         string // Systemd or Container; empty: whichever the machine has
	Image       string // of the container
}

// Validate returns an error that names everything that is wrong with the options.
func (o Options) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(filepath.IsAbs(o.Root), "--root %q: expected an absolute path", o.Root)
	require(dirForm.MatchString(o.Dir) && filepath.Clean(o.Dir) == o.Dir && strings.Count(o.Dir, "/") > 1,
		"--dir %q: expected an absolute path of a-z, A-Z, 0-9, - . _ and at least two directories, as /srv/pgo", o.Dir)
	require(userForm.MatchString(o.User) && o.User != "root", "--user %q: expected a name of a-z, 0-9, - and _ that is not root", o.User)
	require(o.Key == "" || keyForm.MatchString(o.Key), "the key: expected one line with a public key, as ssh-keygen writes into id_ed25519.pub")
	require(o.Firewall == None && o.Connections == 0 || len(o.Gateway) > 0, "--gateway: expected at least one port, or --firewall none and --connections 0")
	require(o.Connections >= 0, "--connections %d: expected 0 or more", o.Connections)
	for _, port := range slices.Concat(o.Gateway, o.SSH) {
		require(port > 0 && port < 1<<16, "%d is not a port", port)
	}
	require(slices.Contains([]string{NFTables, None}, o.Firewall), "--firewall %q: expected nftables or none", o.Firewall)
	require(slices.Contains([]string{"", Systemd, Container}, o.Run), "--run %q: expected systemd or container", o.Run)
	require(imageForm.MatchString(o.Image), "--image %q: expected the name of an image", o.Image)
	return errors.Join(errs...)
}

var (
	dirForm   = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)
	userForm  = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	keyForm   = regexp.MustCompile(`^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\n"]*)?$`)
	imageForm = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9._/:@-]*$`)
)
