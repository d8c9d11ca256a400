package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/home"
	"pgo/deploy/pgo/processfile"
)

// Options are what a manager needs. All but Apply are required.
type Options struct {
	Home    home.Home
	Version string
	Environ []string // of the processes; also XDG_RUNTIME_DIR is looked up here
	Getenv  func(string) string
	Log     *slog.Logger
	Started func() error      // called when the manager answers
	Apply   *processfile.File // applied at once, where given
}

// Run is the manager's whole life: until ctx ends or it is told to go down, when it stops everything first. The error
// is home.ErrLocked while another manager has the home.
func Run(ctx context.Context, o Options) error {
	if err := o.Home.Make(); err != nil {
		return err
	}
	lock, err := o.Home.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	dir, err := o.Home.SocketDir(o.Getenv)
	if err != nil {
		return err
	}
	// Who has the lock may take away what a killed manager left there.
	socket := filepath.Join(dir, "pgo.sock")
	listener, err := listenControl(socket)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(dir) }() // goes only when it is empty: others' files are theirs
	if err := o.Home.WriteManager(home.Manager{PID: os.Getpid(), Socket: socket}); err != nil {
		listener.Close()
		return fmt.Errorf("write down where the manager is: %w", err)
	}
	defer o.Home.RemoveManager()

	m := newManager(o.Home, dir, o.Environ, o.Log)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	info := control.Info{Version: o.Version, Manager: os.Getpid(), Home: string(o.Home), Socket: socket}
	server := &http.Server{Handler: m.handler(info, cancel), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	o.Log.Info("manager started", "pid", os.Getpid(), "version", o.Version, "home", o.Home)
	go m.clean()
	if err := o.Started(); err != nil {
		o.Log.Warn("nobody waits for the manager's start any more", "error", err)
	}
	failed := o.begin(ctx, m, served)
	m.Down()
	stopping, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	if err := server.Shutdown(stopping); err != nil {
		server.Close()
	}
	o.Log.Info("manager ended")
	return failed
}

// begin applies what is to be applied and returns when it is time to go.
func (o Options) begin(ctx context.Context, m *Manager, served <-chan error) error {
	if o.Apply != nil {
		if err := m.Apply(*o.Apply); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-served:
		return fmt.Errorf("serve the control socket: %w", err)
	}
}

func listenControl(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove a stale socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	// Its folder lets nobody else in; the mode says so once more.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("close the control socket to others: %w", err)
	}
	return l, nil
}
