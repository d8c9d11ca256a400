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
	"golang.org/x/term"

	"pgo/deploy/pgo/internal/hostsetup"
)

// setUp are the flags of `pgo host setup`.
type setUp struct {
	Options     hostsetup.Options
	key         string // file of it, or itself
	yes, dryRun bool

	to, ssh, from string
	sudo          bool
}

func (a *app) hostSetup() *cobra.Command {
	var f setUp
	c := &cobra.Command{
		Use:   "setup [--to HOST]",
		Short: "make this machine, or another one, ready for its first deploy: user, folders, deploy key, unit or container, firewall",
		Long: "Prints what it would do, as the commands that do the same, and does it after a typed yes, or with --yes. What is done\n" +
			"already is left alone: a second run says that there is nothing to do. With --to it brings this pgo to a host over your\n" +
			"own ssh, does it there as root, and leaves nothing else behind.\n\n" +
			"The user has no password, the key can do nothing but deploy, and the firewall (a table of nftables of its own; nobody\n" +
			"else's rules are touched) leaves only sshd's ports and the gateway's open. It refuses, with nothing changed, where it is\n" +
			"not root, where neither systemd nor a container engine can start pgo with the machine, where another firewall is in\n" +
			"charge, or where it is not known on which port sshd listens.\n\n" +
			"Exit codes: 0 done, or nothing to do; 65 refused, nothing was changed; 69 the host cannot be reached; 1 failed on the\n" +
			"way, and a second run goes on from there; 64, 130 as always.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.yes && f.dryRun {
				return usageError{errors.New("--yes and --dry-run exclude each other")}
			}
			if err := f.readKey(); err != nil {
				return err
			}
			if err := f.Options.Validate(); err != nil {
				return usageError{err}
			}
			if f.to != "" {
				return a.setUpOther(c.Context(), &f)
			}
			return a.setUpHere(c.Context(), &f)
		},
	}
	s := c.Flags()
	s.StringVar(&f.Options.Dir, "dir", "/srv/pgo", "pgo's folder there: bin/, configs/, .pgo/")
	s.StringVar(&f.Options.User, "user", "pgo", "whom pgo and the services run as; made where there is none of that name")
	s.StringVar(&f.key, "key", "", "a public key that may deploy and do nothing else: its file, or the line itself")
	s.IntSliceVar(&f.Options.Gateway, "gateway", []int{8080, 8443}, "the gateway's ports, which stay open")
	s.IntSliceVar(&f.Options.SSH, "ssh-port", nil, "sshd's ports, which stay open (default as sshd says)")
	s.StringVar(&f.Options.Firewall, "firewall", hostsetup.NFTables, "nftables, or none: somebody else filters")
	s.StringVar(&f.Options.Run, "run", "", "what starts pgo: systemd or container (default what there is, systemd first)")
	s.StringVar(&f.Options.Image, "image", "docker.io/rockylinux/rockylinux:9.8-minimal", "the container's image; pgo is not in it, it comes from --dir")
	s.StringVar(&f.Options.Root, "root", "/", "set up what is mounted here, as an image, rather than this machine: nothing is started")
	s.BoolVar(&f.yes, "yes", false, "do it without being asked")
	s.BoolVar(&f.dryRun, "dry-run", false, "only print what would be done")
	s.StringVar(&f.to, "to", "", "another machine, as ssh knows it")
	s.StringVar(&f.ssh, "ssh", "ssh", "the command that reaches it, its arguments between spaces")
	s.BoolVar(&f.sudo, "sudo", false, "become root there with sudo, which may not ask for a password")
	s.StringVar(&f.from, "from", "dist", "with --to, folder of linux-amd64/pgo or linux-arm64/pgo for a machine of another kind than this")
	return c
}

// readKey makes the line of the file of it.
func (f *setUp) readKey() error {
	f.Options.Key = strings.TrimSpace(f.key)
	if f.Options.Key == "" || strings.Contains(f.Options.Key, " ") {
		return nil
	}
	text, err := os.ReadFile(f.Options.Key)
	if err != nil {
		return usageError{fmt.Errorf("read the key that may deploy: %w", err)}
	}
	if strings.Contains(string(text), "PRIVATE KEY") {
		return usageError{fmt.Errorf("%s is the private key: name the public one, %s.pub", f.Options.Key, f.Options.Key)}
	}
	f.Options.Key = strings.TrimSpace(string(text))
	return nil
}

func (a *app) setUpHere(ctx context.Context, f *setUp) error {
	var err error
	if f.Options.Program, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	machine := hostsetup.Machine{UID: os.Geteuid(), Getenv: a.getenv, Command: a.command1}
	plan, err := hostsetup.NewPlan(ctx, f.Options, machine)
	if err != nil {
		return err
	}
	if len(plan) == 0 {
		fmt.Fprintln(a.stdout, "there is nothing to do")
		return nil
	}
	plan.Print(a.stdout)
	switch {
	case f.dryRun:
		fmt.Fprintln(a.stdout, "nothing was changed")
		return nil
	case f.yes:
	case !term.IsTerminal(int(os.Stdin.Fd())):
		return usageError{errors.New("nothing was changed: there is no terminal to ask on: --yes does it")}
	default:
		fmt.Fprint(a.stdout, "Do it? yes does it, everything else does not: ")
		answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // an end is no yes
		if strings.TrimSpace(answer) != "yes" {
			fmt.Fprintln(a.stdout, "nothing was changed")
			return nil
		}
	}
	return plan.Apply(ctx, func(what string) { fmt.Fprintln(a.stdout, "done:", what) })
}

// command1 runs one of the machine's own programs.
func (a *app) command1(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+a.getenv("PATH")+":/usr/sbin:/sbin") // users' paths leave those out
	if strings.Contains(name, "/") {
		return "", fmt.Errorf("run %s: expected a program's name", name)
	}
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// setUpOther does it on another machine.
func (a *app) setUpOther(ctx context.Context, f *setUp) error {
	ports := func(all []int) string { return strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ","), "[]") }
	args := []string{"--dir", f.Options.Dir, "--user", f.Options.User, "--gateway", ports(f.Options.Gateway), "--firewall", f.Options.Firewall, "--image", f.Options.Image, "--root", f.Options.Root}
	for flag, value := range map[string]string{"--key": f.Options.Key, "--ssh-port": ports(f.Options.SSH), "--run": f.Options.Run} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	for flag, on := range map[string]bool{"--yes": f.yes, "--dry-run": f.dryRun} {
		if on {
			args = append(args, flag)
		}
	}
	r := hostsetup.Remote{
		Host: f.to, SSH: f.ssh, Sudo: f.sudo, Ask: !f.yes && !f.dryRun && term.IsTerminal(int(os.Stdin.Fd())),
		Stdin: os.Stdin, Stdout: a.stdout, Stderr: a.stderr, Program: f.program,
	}
	err := r.Run(ctx, args)
	if exit, ok := errors.AsType[hostsetup.ExitError](err); ok {
		return passedOn{int(exit)} // why has been said there
	}
	return err
}

// program is the pgo for a machine: this one where it is of the same kind.
func (f *setUp) program(platform string) (string, error) {
	if platform == runtime.GOOS+"-"+runtime.GOARCH {
		return os.Executable()
	}
	path := filepath.Join(f.from, platform, "pgo")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("that machine is %s, this one %s-%s: there is no %s: make dist, or name its folder with --from", platform, runtime.GOOS, runtime.GOARCH, strconv.Quote(path))
	}
	return path, nil
}
