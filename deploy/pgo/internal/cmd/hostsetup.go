package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"pgo/deploy/pgo/internal/hostsetup"
)

// hostSetup has the flags of pgo host setup.
type hostSetup struct {
	env         *env
	options     hostsetup.Options
	key         string // a public key, or the path of its file
	yes, dryRun bool

	host, ssh, from string
	sudo            bool
}

func newHostSetupCommand(e *env) *cobra.Command {
	s := hostSetup{env: e}
	c := &cobra.Command{
		Use:   "setup [--to HOST]",
		Short: "Prepare this machine, or another one, for its first deploy: user, directories, deploy key, unit or container, firewall",
		Long: "Prints what it would do, as the commands that do the same, and does it after a typed yes, or with --yes. It skips what is\n" +
			"done already: a second run reports that there is nothing to do. With --to it copies this pgo to a host over your own\n" +
			"ssh, runs it there as root, and leaves nothing else behind.\n\n" +
			"The user has no password, the key can do nothing but deploy, and the firewall (a table of nftables of its own; it touches\n" +
			"no other rules) leaves only sshd's ports and the gateway's open. Another table limits the connections of one address to the\n" +
			"gateway. It refuses, with nothing changed, where it is not root,\n" +
			"where neither systemd nor a container engine can start pgo with the machine, where another firewall is in charge, or\n" +
			"where the port of sshd is unknown.\n\n" +
			"Exit codes: 0 done, or nothing to do; 65 refused, nothing was changed; 69 the host is unreachable; 1 failed in the\n" +
			"middle, and a second run continues from there; 64 and 130 as for all commands.",
		Args: rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if s.yes && s.dryRun {
				return usageErrorf("--yes and --dry-run exclude each other")
			}
			if err := s.readKey(); err != nil {
				return err
			}
			if err := s.options.Validate(); err != nil {
				return usageError{err}
			}
			if s.host != "" {
				return s.runRemotely(c.Context())
			}
			return s.runHere(c.Context())
		},
	}
	s.addFlags(c.Flags())
	return c
}

func (s *hostSetup) addFlags(f *pflag.FlagSet) {
	f.StringVar(&s.options.Dir, "dir", "/srv/pgo", "pgo's directory there: bin/, configs/, .pgo/")
	f.StringVar(&s.options.User, "user", "pgo", "the user of pgo and the services; created if missing")
	f.StringVar(&s.key, "key", "", "a public key that may deploy and do nothing else: its file, or the line itself")
	f.IntSliceVar(&s.options.Gateway, "gateway", []int{8080, 8443}, "the gateway's ports, which stay open")
	f.IntSliceVar(&s.options.SSH, "ssh-port", nil, "sshd's ports, which stay open (default as sshd reports them)")
	f.StringVar(&s.options.Firewall, "firewall", hostsetup.NFTables, "nftables, or none where something else filters")
	f.IntVar(&s.options.Connections, "connections", 4096, "how many connections one address may have to the gateway; 0: no limit, and an earlier one is removed")
	f.StringVar(&s.options.Run, "run", "", "what starts pgo: systemd or container (default what is installed, systemd first)")
	f.StringVar(&s.options.Image, "image", "docker.io/rockylinux/rockylinux:9.8-minimal", "the container's image; pgo is not in it, it comes from --dir")
	f.StringVar(&s.options.Root, "root", "/", "set up the file system mounted here, such as an image, instead of this machine: nothing is started")
	f.BoolVar(&s.yes, "yes", false, "do it without asking")
	f.BoolVar(&s.dryRun, "dry-run", false, "print what would be done and change nothing")
	f.StringVar(&s.host, "to", "", "another machine, as ssh knows it")
	f.StringVar(&s.ssh, "ssh", "ssh", "the command that reaches it, with its arguments separated by spaces")
	f.BoolVar(&s.sudo, "sudo", false, "become root there with sudo, which must not ask for a password")
	f.StringVar(&s.from, "from", "dist", "with --to, the directory of linux-amd64/pgo or linux-arm64/pgo for a machine of another architecture")
}

// readKey sets the key of the options: the line itself, or that of the file.
func (s *hostSetup) readKey() error {
	s.options.Key = strings.TrimSpace(s.key)
	if s.options.Key == "" || strings.Contains(s.options.Key, " ") {
		return nil
	}
	text, err := os.ReadFile(s.options.Key)
	if err != nil {
		return usageErrorf("read the key that may deploy: %w", err)
	}
	if strings.Contains(string(text), "PRIVATE KEY") {
		return usageErrorf("%s is the private key: name the public one, %s.pub", s.options.Key, s.options.Key)
	}
	s.options.Key = strings.TrimSpace(string(text))
	return nil
}

// runHere sets up this machine.
func (s *hostSetup) runHere(ctx context.Context) error {
	stdout := s.env.stdout
	var err error
	if s.options.Program, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	machine := hostsetup.Machine{UID: os.Geteuid(), Getenv: s.env.getenv, Command: s.runSystemProgram}
	plan, err := hostsetup.NewPlan(ctx, s.options, machine)
	if err != nil {
		return err
	}
	if len(plan) == 0 {
		fmt.Fprintln(stdout, "there is nothing to do")
		return nil
	}
	plan.Print(stdout)
	switch {
	case s.dryRun:
		fmt.Fprintln(stdout, "nothing was changed")
		return nil
	case s.yes:
	case !term.IsTerminal(int(os.Stdin.Fd())):
		return usageErrorf("nothing was changed: there is no terminal to ask on: --yes does it without asking")
	default:
		fmt.Fprint(stdout, "Do it? Type yes, anything else changes nothing: ")
		answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // the end of stdin is not a yes
		if strings.TrimSpace(answer) != "yes" {
			fmt.Fprintln(stdout, "nothing was changed")
			return nil
		}
	}
	return plan.Apply(ctx, func(what string) { fmt.Fprintln(stdout, "done:", what) })
}

// runSystemProgram runs one of the machine's own programs and returns its output.
func (s *hostSetup) runSystemProgram(ctx context.Context, name string, args ...string) (string, error) {
	if strings.Contains(name, "/") {
		return "", fmt.Errorf("run %s: expected a program's name", name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+s.env.getenv("PATH")+":/usr/sbin:/sbin") // users' paths lack those
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// runRemotely sets up another machine.
func (s *hostSetup) runRemotely(ctx context.Context) error {
	r := hostsetup.Remote{
		Host: s.host, SSH: s.ssh, Sudo: s.sudo, Ask: !s.yes && !s.dryRun && term.IsTerminal(int(os.Stdin.Fd())),
		Stdin: os.Stdin, Stdout: s.env.stdout, Stderr: s.env.stderr, Program: s.findProgram,
	}
	err := r.Run(ctx, s.remoteArgs())
	if exit, ok := errors.AsType[hostsetup.ExitError](err); ok {
		return programExit{int(exit)} // it has reported there what failed
	}
	return err
}

// remoteArgs returns the flags for pgo host setup on the other machine.
func (s *hostSetup) remoteArgs() []string {
	ports := func(all []int) string { return strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ","), "[]") }
	o := s.options
	args := []string{"--dir", o.Dir, "--user", o.User, "--gateway", ports(o.Gateway), "--firewall", o.Firewall, "--connections", strconv.Itoa(o.Connections), "--image", o.Image, "--root", o.Root}
	for flag, value := range map[string]string{"--key": o.Key, "--ssh-port": ports(o.SSH), "--run": o.Run} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	for flag, on := range map[string]bool{"--yes": s.yes, "--dry-run": s.dryRun} {
		if on {
			args = append(args, flag)
		}
	}
	return args
}

// findProgram returns the path of a pgo for the platform (OS-ARCH): this program where it is for it, else that in --from.
func (s *hostSetup) findProgram(platform string) (string, error) {
	here := runtime.GOOS + "-" + runtime.GOARCH
	if platform == here {
		return os.Executable()
	}
	path := filepath.Join(s.from, platform, "pgo")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("that machine is %s, this one %s: there is no %s: make dist, or name its directory with --from", platform, here, strconv.Quote(path))
	}
	return path, nil
}
