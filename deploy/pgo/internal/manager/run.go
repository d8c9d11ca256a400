package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/supervise"
)

// The keys of what a keeper holds and keeps for the first manager.
const (
	ControlKey = "control"             // held: the control socket
	ApplyKey   = "apply"               // kept: a process file to be applied at once
	NullKey    = supervise.NullFileKey // held: /dev/null
)

// Options configure a manager.
type Options struct {
	Home    home.Home
	Socket  string // path of the control socket, which the keeper holds; its directory is that of the notify sockets
	Sockets string
	Version string
	Environ []string // of the processes
	Log     *slog.Logger
	Link    *keeper.Link
}

// Run runs a manager. It returns when everything was stopped by request, and the keeper with it; when ctx ends or an
// upgrade is requested, with everything going on; or when the keeper is gone.
func Run(ctx context.Context, o Options) error {
	listener, err := o.openControlListener()
	if err != nil {
		return err
	}
	m := newManager(o.Home, o.Sockets, o.Environ, o.Log, o.Link)
	m.memory = newMemoryReleaser()
	defer m.memory.stop()
	m.about = m.countManager(control.Info{
		Version: o.Version, ManagerPID: os.Getpid(), KeeperPID: o.Link.Hello.PID, Home: string(o.Home), Socket: o.Socket,
		UpgradeFailure: o.Link.Hello.FailureReason,
	})
	unfinished, leftBehind := m.deployer.FinishCommitted(), m.findLeftovers()
	resumed, err := m.resumeProcesses()
	if err != nil {
		return err
	}
	if unfinished != nil {
		m.deployer.RollBackInterrupted(unfinished, resumed)
	}
	leaving, leave := context.WithCancel(ctx)
	defer leave()
	downed := make(chan struct{}, 1)
	api := m.newHandler(func() { supervise.Notify(downed) }, leave)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.memory.noteCommand()
		api.ServeHTTP(w, r)
	})}
	served := make(chan error, 1)
	serve := func(l net.Listener) {
		go func() {
			select {
			case served <- server.Serve(l):
			default: // another one is as good a reason
			}
		}()
	}
	serve(listener)
	o.Log.Info("manager started", "pid", os.Getpid(), "version", o.Version, "home", o.Home, "resumed", resumed)
	go m.stopLeftovers(leftBehind)
	o.Link.ReportReady()
	go m.finishStartup(downed)
	go m.deployer.Watcher().Run(leaving)
	go supervise.WatchLimits(leaving, m.set, m.changed)
	go supervise.RunSchedules(leaving, m.set, m.rescheduled)
	go m.deployer.MeasureBaselines(leaving)
	go m.reportAlive(leaving)
	go m.serveRequests(leaving, o, leave)
	go m.guardSockets(leaving, o, serve)
	defer func() {
		m.closeHTTP()
		stopping, stop := context.WithTimeout(context.Background(), 5*time.Second)
		defer stop()
		if err := server.Shutdown(stopping); err != nil {
			server.Close()
		}
	}()
	defer m.deps.Runner.Close() // nothing that runs beside a process outlives the manager
	for {
		select {
		case <-downed:
			o.Log.Info("manager ended: everything is stopped")
			return o.Link.EndKeeper()
		case <-o.Link.TerminateRequests():
			o.Link.ReportAlive()
			go func() {
				m.Down()
				supervise.Notify(downed)
			}()
		case <-leaving.Done():
			o.Log.Info("manager ended: everything goes on")
			return nil
		case <-o.Link.Lost():
			return keeper.ErrLost
		case err := <-served:
			return fmt.Errorf("serve the control socket: %w", err)
		}
	}
}

// finishStartup does what is left to do: it applies a file, or stops everything.
func (m *Manager) finishStartup(downed chan struct{}) {
	if m.set.IsDown() {
		m.Down()
		supervise.Notify(downed)
		return
	}
	data := m.deps.Link.Hello.Data[ApplyKey]
	if data == nil {
		return
	}
	var f processfile.File
	err := decodeStrict(data, &f)
	if err == nil {
		err = m.Apply(f)
	}
	m.deps.Link.KeepData(ApplyKey, nil)
	if err != nil {
		m.deps.Log.Error("apply the process file", "error", err)
		m.Down()
		supervise.Notify(downed)
	}
}

// openControlListener returns the listener of the control API, which the keeper holds.
func (o Options) openControlListener() (net.Listener, error) {
	fd, ok := o.Link.FDs[ControlKey]
	if !ok {
		return nil, errors.New("the keeper holds no control socket")
	}
	f := os.NewFile(uintptr(fd), ControlKey)
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take the control socket: %w", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the next manager answers on it
	}
	return l, nil
}
