package cmd

import (
	"context"
	"errors"
	"fmt"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/hostsetup"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/ship"
)

// Exit codes, after sysexits.
const (
	ExitOK            = 0
	ExitFailed        = 1
	ExitUsage         = 64
	ExitRefused       = 65 // of a deploy or a setup: nothing was changed
	ExitUnavailable   = 69 // no manager runs, another one does, or a host cannot be reached
	ExitRolledBack    = 70 // the deploy failed and was rolled back
	ExitNotRolledBack = 71 // the deploy failed and could not be rolled back completely
	ExitLost          = 74 // the connection was lost and the host cannot be asked for the result
	ExitLocked        = 75 // another deploy is under way: try again
	ExitConfig        = 78 // the process file is invalid
	ExitInterrupted   = 130
)

// usageError marks a wrong command line.
type usageError struct{ error }

func usageErrorf(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// programExit is the exit code of a program that has reported itself what failed.
type programExit struct{ code int }

func (e programExit) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// exitCode returns the exit code for an error of a command.
func exitCode(ctx context.Context, err error) int {
	var invalid *processfile.Error
	var usage usageError
	deploy, isDeploy := deployExitCode(err)
	_, isUnreachable := errors.AsType[*control.UnreachableError](err)
	switch {
	case err == nil:
		return ExitOK
	case isDeploy && ctx.Err() == nil:
		return deploy
	case errors.As(err, &invalid):
		return ExitConfig
	case errors.As(err, &usage):
		return ExitUsage
	case ctx.Err() != nil:
		return ExitInterrupted
	case errors.Is(err, control.ErrNotRunning), isUnreachable, errors.Is(err, home.ErrLocked):
		return ExitUnavailable
	default:
		return ExitFailed
	}
}

// deployExitCode returns the exit code for the error of a deploy or of a host's setup; ok is false for any other error.
func deployExitCode(err error) (code int, ok bool) {
	for _, result := range []struct {
		err  error
		code int
	}{
		{ship.ErrRefused, ExitRefused}, {ship.ErrLocked, ExitLocked}, {ship.ErrRolledBack, ExitRolledBack}, {ship.ErrNotRolledBack, ExitNotRolledBack},
		{ship.ErrUnknown, ExitLost}, {ship.ErrUnreachable, ExitUnavailable}, {ship.ErrUnavailable, ExitUnavailable},
		{hostsetup.ErrRefused, ExitRefused}, {hostsetup.ErrUnreachable, ExitUnavailable},
	} {
		if errors.Is(err, result.err) {
			return result.code, true
		}
	}
	return 0, false
}
