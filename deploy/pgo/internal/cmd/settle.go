package cmd

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/ship/receive"
)

func (a *app) hostSettle() *cobra.Command {
	return &cobra.Command{
		Use:   "settle",
		Short: "put back a deploy that a crash of this machine has cut off, where systemd runs the services",
		Long: "What pgo.settle.service runs, a unit that pgo export systemd writes beside the others: before they are started it\n" +
			"puts back the files of a deploy that was cut off. As root it becomes the user who had deployed. While they run, the\n" +
			"next deploy or rollback does it.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if a.getenv("INVOCATION_ID") == "" { // systemd gives one to all that it starts
				return usageError{errors.New("only for pgo.settle.service, before what is deployed is started: else pgo deploy or rollback puts it back")}
			}
			h, err := a.home()
			if err != nil {
				return err
			}
			left, err := os.Stat(h.UnitRolloutPath())
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("look for a deploy that was cut off: %w", err)
			}
			if err := become(left); err != nil {
				return err
			}
			u, err := a.units(h, "systemctl")
			if err != nil {
				return err
			}
			u.Machine.Booting = true
			return receive.Recover(c.Context(), u)
		},
	}
}

// become makes this process one of the file's owner, who must be able to deploy again afterwards. Only root can, and only
// root has to.
func become(file os.FileInfo) error {
	owner, ok := file.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	gid := int(owner.Gid)
	err := syscall.Setgroups([]int{gid})
	if err == nil {
		err = syscall.Setgid(gid)
	}
	if err == nil {
		err = syscall.Setuid(int(owner.Uid))
	}
	if err != nil {
		return fmt.Errorf("become who had deployed: %w", err)
	}
	return nil
}
