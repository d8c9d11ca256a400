package cmd

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/hostsetup"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/ship"
)

func TestExitCode(t *testing.T) {
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"no error", t.Context(), nil, ExitOK},
		{"any error", t.Context(), errors.New("no"), ExitFailed},
		{"a wrong command line", t.Context(), usageErrorf("no"), ExitUsage},
		{"a wrong process file", t.Context(), fmt.Errorf("up: %w", &processfile.Error{}), ExitConfig},
		{"no manager", t.Context(), fmt.Errorf("up: %w", control.ErrNotRunning), ExitUnavailable},
		{"another manager", t.Context(), home.ErrLocked, ExitUnavailable},
		{"an interrupt", interrupted, errors.New("no"), ExitInterrupted},
		{"a refused deploy", t.Context(), fmt.Errorf("x: %w", ship.ErrRefused), ExitRefused},
		{"a rolled back deploy", t.Context(), ship.ErrRolledBack, ExitRolledBack},
		{"a deploy that was not rolled back", t.Context(), ship.ErrNotRolledBack, ExitNotRolledBack},
		{"an unknown result", t.Context(), ship.ErrUnknown, ExitLost},
		{"an unreachable host", t.Context(), ship.ErrUnreachable, ExitUnavailable},
		{"another deploy", t.Context(), ship.ErrLocked, ExitLocked},
		{"an interrupted deploy", interrupted, ship.ErrRolledBack, ExitInterrupted},
		{"a refused setup", t.Context(), hostsetup.ErrRefused, ExitRefused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := exitCode(test.ctx, test.err); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
