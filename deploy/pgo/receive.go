package main

import (
	"os"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/ship/host"
)

func (a *app) receive() *cobra.Command {
	var as string
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
			return host.Run(c.Context(), host.Options{
				Home: h, Version: version, As: as, Getenv: a.getenv, Stdin: os.Stdin, Stdout: a.stdout,
			})
		},
	}
	c.Flags().StringVar(&as, "as", "", "who has the key, for the audit log (default the user that is logged in)")
	return c
}
