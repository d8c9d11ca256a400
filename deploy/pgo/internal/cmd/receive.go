package cmd

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/ship/receive"
	"pgo/deploy/pgo/internal/systemd"
)

func newReceiveCommand(e *env) *cobra.Command {
	var as, systemctl string
	var onSystemd bool
	c := &cobra.Command{
		Use:   "receive",
		Short: "Receive a deploy on a host, as the forced command of a deploy key",
		Long: "Reads what pgo deploy sends from stdin and answers on stdout. In ~/.ssh/authorized_keys\n\n" +
			"    command=\"pgo receive --home /srv/pgo/.pgo --as ci\",restrict ssh-ed25519 AAAA... ci\n\n" +
			"makes a key that can deploy, roll back and list releases here, and nothing else. The audit log names it ci.",
		Args: rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := e.findHome()
			if err != nil {
				return err
			}
			o := receive.Options{Home: h, Version: e.build.Version, As: as, Getenv: e.getenv, Stdin: os.Stdin, Stdout: e.stdout}
			if onSystemd {
				if o.Units, err = newSystemdHost(e, h, systemctl); err != nil {
					return err
				}
			}
			return receive.Run(c.Context(), o)
		},
	}
	c.Flags().BoolVar(&onSystemd, "systemd", false, "systemd runs the services, by the units of pgo export systemd; pgo does not run here")
	c.Flags().StringVar(&systemctl, "systemctl", "systemctl", "with --systemd: the command that may restart units, such as \"sudo -n systemctl\"")
	c.Flags().StringVar(&as, "as", "", "who has the key, for the audit log (default the user that is logged in)")
	return c
}

// newSystemdHost returns the host whose services systemd runs. systemctl is a command with its arguments separated by spaces.
func newSystemdHost(e *env, h home.Home, systemctl string) (*systemd.Machine, error) {
	_, file, err := e.loadProcessFile()
	if err != nil {
		return nil, err
	}
	words := strings.Fields(systemctl)
	if len(words) == 0 {
		return nil, usageErrorf("--systemctl: expected a command")
	}
	// The deploy lock and the releases are in the home, also where pgo has never run.
	if err := h.CreateDirs(); err != nil {
		return nil, err
	}
	return &systemd.Machine{Home: h, File: file, Systemctl: words, Environ: os.Environ(), EnvDir: "/etc/pgo"}, nil
}
