package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func (a *app) info() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "info",
		Short: "show what is known of pgo itself",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, client, err := a.connect(c.Context())
			info := control.Info{Version: a.build.Version, Home: string(h)}
			if err == nil {
				info, err = client.Info(c.Context())
			}
			if err != nil && !errors.Is(err, control.ErrNotRunning) {
				return err
			}
			if asJSON {
				return a.printJSON(info)
			}
			running := "no"
			if info.ManagerPID != 0 {
				running = fmt.Sprintf("yes, keeper pid %d, manager pid %d", info.KeeperPID, info.ManagerPID)
			}
			_, err = fmt.Fprintf(a.stdout, "version       %s\nrunning       %s\nhome          %s\nhttp          %s\nsocket        %s\nprocess file  %s\n",
				info.Version, running, info.Home, info.HTTP, info.Socket, info.File)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as a JSON object")
	return c
}
