package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/processfile"
)

// serveRequests does what signals to the keeper ask for, one after the other, until ctx ends. leave is called when the manager
// is to make room for the next.
func (m *Manager) serveRequests(ctx context.Context, o Options, leave func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case request := <-o.Link.Requests():
			m.deps.Log.Info("command", "command", string(request), "by", "signal")
			if err := m.serveRequest(request, o, leave); err != nil {
				m.deps.Log.Error("a signal's request failed; everything goes on", "request", string(request), "error", err)
			}
		}
	}
}

func (m *Manager) serveRequest(request keeper.Request, o Options, leave func()) error {
	switch request {
	case keeper.RequestApply:
		return m.applyFileAgain(o.Environ)
	case keeper.RequestReopen:
		return nil // each log is opened again at the next output where its file was moved, and this command's line was one
	case keeper.RequestUpgrade:
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", o.Link.Hello.PID))
		if err != nil {
			return fmt.Errorf("find the keeper's program: %w", err)
		}
		if err := m.Upgrade(strings.TrimSuffix(program, " (deleted)")); err != nil {
			return err
		}
		leave()
		return nil
	default:
		return fmt.Errorf("the keeper of another version asks for %q", string(request))
	}
}

// applyFileAgain reads the process file that was applied last, with pgo's own environment, and applies it.
func (m *Manager) applyFileAgain(environ []string) error {
	path := m.set.File().Path
	if path == "" {
		return errors.New("no process file was applied yet: pgo up")
	}
	env := baseEnv(m.deps.Home, environ)
	file, err := processfile.Load(path, func(key string) (string, bool) { return env[key], env[key] != "" })
	if err != nil {
		return err
	}
	return m.Apply(file)
}
