package cmd

import (
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// EndSignals returns the signals that end the command line args. A hang-up ends a command, but neither the keeper nor the
// manager, which are no part of a login.
func EndSignals(args []string) []os.Signal {
	end := []os.Signal{os.Interrupt, syscall.SIGTERM}
	isForeground := func(arg string) bool { return strings.HasPrefix(arg, "--foreground") && arg != "--foreground=false" }
	if len(args) > 0 && (args[0] == keeperCommand || args[0] == managerCommand) || slices.Contains(args, "up") && slices.ContainsFunc(args, isForeground) {
		return end
	}
	return append(end, syscall.SIGHUP)
}

// disarmSignals makes signals without a meaning for the manager do nothing. They are not ignored: the processes that it starts
// would inherit that.
func disarmSignals() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
}
