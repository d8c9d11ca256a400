package e2e

import "pgo/deploy/pgo/internal/cmd"

// The exit codes of pgo's commands, as docs/pgo.md and docs/deploy.md list them. Importing them from the program also makes
// its packages dependencies of these tests, so that go test runs them again when one of those has changed.
const (
	exitOK            = cmd.ExitOK
	exitFailed        = cmd.ExitFailed
	exitUsage         = cmd.ExitUsage
	exitUnavailable   = cmd.ExitUnavailable
	exitConfig        = cmd.ExitConfig
	exitInterrupted   = cmd.ExitInterrupted
	exitRefused       = cmd.ExitRefused
	exitRolledBack    = cmd.ExitRolledBack
	exitNotRolledBack = cmd.ExitNotRolledBack
	exitLocked        = cmd.ExitLocked
)
