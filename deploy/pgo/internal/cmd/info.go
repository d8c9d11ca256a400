package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func newInfoCommand(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "info",
		Short: "Show the version, processes, home and addresses of pgo itself",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, client, err := e.connect(c.Context())
			info := control.Info{Version: e.build.Version, Home: string(h)}
			if err == nil {
				info, err = client.Info(c.Context())
			}
			if err != nil && !errors.Is(err, control.ErrNotRunning) {
				return err
			}
			if asJSON {
				return e.printJSON(info)
			}
			running := "no"
			if info.ManagerPID != 0 {
				running = fmt.Sprintf("yes, keeper pid %d, manager pid %d", info.KeeperPID, info.ManagerPID)
			}
			_, err = fmt.Fprintf(e.stdout, "version       %s\nrunning       %s\nhome          %s\nhttp          %s\nsocket        %s\nprocess file  %s\n",
				info.Version, running, info.Home, info.HTTP, info.Socket, info.File)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
