package cmd

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/ship/receive"
	"pgo/deploy/pgo/internal/systemd"
)

// newHostRecoverCommand returns pgo host recover, under this name.
func newHostRecoverCommand(e *env, name string) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: "Roll back a deploy that a crash of this machine interrupted, where systemd runs the services",
		Long: systemd.RecoverUnit + " runs it, a unit that pgo export systemd writes beside the others. Before the services are started it\n" +
			"rolls back the files of an interrupted deploy. As root it becomes the user who had deployed. While the services run, the\n" +
			"next deploy or rollback does it.",
		Args: rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if e.getenv("INVOCATION_ID") == "" { // systemd sets it for all that it starts
				return usageErrorf("only for %s, before the services are started: otherwise pgo deploy or rollback recovers", systemd.RecoverUnit)
			}
			h, err := e.findHome()
			if err != nil {
				return err
			}
			journal, err := os.Stat(h.UnitRolloutPath())
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("look for an interrupted deploy: %w", err)
			}
			if err := becomeOwner(journal); err != nil {
				return err
			}
			m, err := newSystemdHost(e, h, "systemctl")
			if err != nil {
				return err
			}
			m.Booting = true
			return receive.Recover(c.Context(), m)
		},
	}
}

// becomeOwner changes the user and the group of this process to the file's owner, who must be able to deploy afterwards.
// It does nothing where this process is not root, or root owns the file.
func becomeOwner(file os.FileInfo) error {
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
		return fmt.Errorf("become the user who had deployed: %w", err)
	}
	return nil
}
