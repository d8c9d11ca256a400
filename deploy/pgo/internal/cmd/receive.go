package cmd

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/ship/receive"
	"pgo/deploy/pgo/internal/ship/units"
	"pgo/deploy/pgo/internal/systemd"
)

func (a *app) receive() *cobra.Command {
	var as, systemctl string
	var onSystemd bool
	c := &cobra.Command{
		Use:   "receive",
		Short: "what pgo deploy starts on a host; made to be a key's forced command",
		Long: "Takes what pgo deploy sends over its stdin and answers over its stdout. In ~/.ssh/authorized_keys\n\n" +
			"    command=\"pgo receive --home /srv/pgo/.pgo --as ci\",restrict ssh-ed25519 AAAA... ci\n\n" +
			"makes a key that can deploy, roll back and see releases here, and nothing else. The audit log knows it as ci.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := a.home()
			if err != nil {
				return err
			}
			o := receive.Options{Home: h, Version: a.build.Version, As: as, Getenv: a.getenv, Stdin: os.Stdin, Stdout: a.stdout}
			if onSystemd {
				if o.Units, err = a.units(h, systemctl); err != nil {
					return err
				}
			}
			return receive.Run(c.Context(), o)
		},
	}
	c.Flags().BoolVar(&onSystemd, "systemd", false, "systemd runs the services, by the units of pgo export systemd; pgo does not run here")
	c.Flags().StringVar(&systemctl, "systemctl", "systemctl", "with --systemd: the command that may start units anew, as \"sudo -n systemctl\"")
	c.Flags().StringVar(&as, "as", "", "who has the key, for the audit log (default the user that is logged in)")
	return c
}

// units are what systemd runs here.
func (a *app) units(h home.Home, systemctl string) (*units.Host, error) {
	_, file, err := a.load()
	if err != nil {
		return nil, err
	}
	words := strings.Fields(systemctl)
	if len(words) == 0 {
		return nil, usageError{errors.New("--systemctl: expected a command")}
	}
	// There is a lock of who deploys, and releases, where no pgo has ever run.
	if err := h.CreateDirs(); err != nil {
		return nil, err
	}
	return &units.Host{Machine: &systemd.Machine{Home: h, File: file, Systemctl: words, Environ: os.Environ(), EnvDir: "/etc/pgo"}}, nil
}
