package cmd

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/manager"
)

// runManager runs the manager that the keeper starts, until it ends. args are the home and the control socket.
func runManager(ctx context.Context, e *env, args []string) error {
	if len(args) != 2 || fileType(linkFD) != unix.S_IFSOCK {
		return usageErrorf("the keeper starts the manager: pgo up")
	}
	disarmSignals()
	syscall.CloseOnExec(linkFD)
	link, err := keeper.Connect(linkFD)
	if err != nil {
		return err
	}
	h, socket := home.Home(args[0]), args[1]
	err = manager.Run(ctx, manager.Options{
		Home: h, Socket: socket, Sockets: filepath.Dir(socket),
		Version: e.build.Version, Environ: os.Environ(), Log: newEventLog(openOwnLog(ctx, e.stdout, h)), Link: link,
	})
	if err != nil {
		link.ReportFailure(err)
	}
	return err
}
