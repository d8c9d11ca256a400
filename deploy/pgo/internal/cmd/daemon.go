package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/manager"
	"pgo/deploy/pgo/internal/processfile"
)

// The two halves of pgo are started by pgo itself: the keeper by `pgo up`, the manager by the keeper.
const (
	keeperCommand  = "keeper"
	managerCommand = "manager"
)

// linkFD is where the keeper answers who started it, one line, "ok" or what is wrong; and the manager's link to it.
const linkFD = 3

const answerOK = "ok"

// background is the keeper's whole life as `pgo up` starts it. args are its home.
func (a *app) background(ctx context.Context, args []string) error {
	if len(args) != 1 || fileType(linkFD) != unix.S_IFIFO {
		return usageError{errors.New("pgo up starts the keeper; to stay in front, use pgo up --foreground")}
	}
	syscall.CloseOnExec(linkFD)
	starter := os.NewFile(linkFD, "starter")
	said := false
	say := func(err error) {
		if said {
			return
		}
		said = true
		text := answerOK
		if err != nil {
			text = err.Error()
		}
		_, _ = io.WriteString(starter, text) // one that waits no more needs no answer
		starter.Close()
	}
	err := a.keep(ctx, home.Home(args[0]), nil, say)
	if err != nil {
		say(err)
	}
	return err
}

func fileType(fd int) uint32 {
	var s unix.Stat_t
	if unix.Fstat(fd, &s) != nil {
		return 0
	}
	return s.Mode & unix.S_IFMT
}

// closeOthers keeps what else is open here, perhaps without the caller's knowledge, from what is started: whoever waits
// for the end of such a pipe would wait as long as pgo runs.
func closeOthers() {
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // kernels before 5.11 cannot: then it stays as it was
}

// keep is the keeper's life on a home. The error is home.ErrLocked while another has it.
func (a *app) keep(ctx context.Context, h home.Home, apply *processfile.File, started func(error)) error {
	closeOthers()
	err := h.CreateDirs()
	if err != nil {
		return err
	}
	// It is never let go of: who waits for the lock waits until this process is gone.
	if a.lock, err = h.Lock(); err != nil {
		return err
	}
	dir, err := h.SocketDir(a.getenv)
	if err != nil {
		return err
	}
	// Who has the lock may take away what a killed keeper left there.
	stale, _ := filepath.Glob(filepath.Join(dir, "*.notify")) // the pattern is good
	for _, file := range stale {
		_ = os.Remove(file)
	}
	socket := filepath.Join(dir, "pgo.sock")
	control, err := listenControl(socket)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(dir) }() // goes only when it is empty: others' files are theirs
	defer func() { _ = os.Remove(socket) }()
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("start the keeper: %w", err)
	}
	if err := h.WriteManager(home.ManagerAddr{PID: os.Getpid(), Socket: socket}); err != nil {
		return fmt.Errorf("write down where the manager is: %w", err)
	}
	defer h.RemoveManager()
	kept := map[string][]byte{}
	if apply != nil {
		if kept[manager.ApplyKey], err = json.Marshal(apply); err != nil {
			return fmt.Errorf("start the keeper: %w", err)
		}
	}
	return keeper.Run(ctx, keeper.Options{
		Program:     "/proc/self/exe", // this very program, also when its file was replaced
		Args:        []string{managerCommand, string(h), socket},
		Version:     a.build.Version,
		Log:         eventLog(a.ownLog(ctx, h)),
		Data:        kept,
		Descriptors: map[string]int{manager.ControlKey: control, manager.NullKey: null},
		OnStarted:   started,
	})
}

// manage is the manager's whole life. args are the home and the control socket.
func (a *app) manage(ctx context.Context, args []string) error {
	if len(args) != 2 || fileType(linkFD) != unix.S_IFSOCK {
		return usageError{errors.New("the keeper starts the manager: pgo up")}
	}
	syscall.CloseOnExec(linkFD)
	link, err := keeper.Connect(linkFD)
	if err != nil {
		return err
	}
	err = manager.Run(ctx, manager.Options{
		Home: home.Home(args[0]), Socket: args[1], Sockets: filepath.Dir(args[1]),
		Version: a.build.Version, Environ: os.Environ(), Log: eventLog(a.ownLog(ctx, home.Home(args[0]))), Link: link,
	})
	if err != nil {
		link.ReportFailure(err)
	}
	return err
}

// listenControl opens the control socket and returns its descriptor.
func listenControl(path string) (int, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return -1, fmt.Errorf("remove a stale socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return -1, fmt.Errorf("open the control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	defer func() { _ = l.Close() }() // the copy listens on
	// Its folder lets nobody else in; the mode says so once more.
	if err := os.Chmod(path, 0o600); err != nil {
		return -1, fmt.Errorf("close the control socket to others: %w", err)
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("open the control socket: %w", err)
	}
	fd := -1
	var failed error
	err = raw.Control(func(original uintptr) { fd, failed = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, failed); err != nil {
		return -1, fmt.Errorf("open the control socket: %w", err)
	}
	return fd, nil
}

// spawnKeeper starts a keeper that outlives this command. The error is home.ErrLocked while another has the home.
func spawnKeeper(h home.Home) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start pgo: %w", err)
	}
	log, err := os.OpenFile(h.LogPath("pgo"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("start pgo: %w", err)
	}
	defer log.Close()
	answer, answerer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start pgo: %w", err)
	}
	defer answer.Close()
	closeOthers()
	cmd := exec.Command(self, keeperCommand, string(h))
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{answerer}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	answerer.Close()
	if err != nil {
		return fmt.Errorf("start pgo: %w", err)
	}
	said, err := io.ReadAll(answer)
	switch {
	case err == nil && string(said) == answerOK:
		return cmd.Process.Release()
	case string(said) == home.ErrLocked.Error():
		return home.ErrLocked
	case len(said) > 0:
		return fmt.Errorf("start pgo: %s", said)
	default:
		return fmt.Errorf("start pgo: it ended without a word; %s may say why", h.LogPath("pgo"))
	}
}

// How pgo's own log is kept.
const (
	ownLogSize = 10 << 20
	ownLogs    = 5
	ownLogsFor = 14 * 24 * time.Hour
)

// ownLog is where this half of pgo writes what it does: the log in the home, which both rotate, or in front whatever
// stdout is.
func (a *app) ownLog(ctx context.Context, h home.Home) io.Writer {
	policy := logfile.Policy{MaxSize: ownLogSize, Keep: ownLogs, KeepFor: ownLogsFor, Compress: true}
	own, ok := logfile.NewOwnLog(h.LogPath("pgo"), policy, unix.Stdout, unix.Stderr)
	if !ok {
		return a.stdout
	}
	// A half that says nothing for long would have its last words, of a panic, in a file that is gone.
	go func() {
		every := time.NewTicker(time.Minute)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				own.Reopen()
			case <-ctx.Done():
				return
			}
		}
	}()
	return own
}

// eventLog writes JSON lines in the form of pgo's services.
func eventLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				a.Key = "ts"
			}
			return a
		},
	}))
}
