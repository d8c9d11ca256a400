package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/manager"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
)

// Commands for the two roles of a running pgo, which pgo itself starts: the keeper by `pgo up`, the manager by the keeper.
const (
	keeperCommand  = "keeper"
	managerCommand = "manager"
)

// linkFD is the descriptor of a pipe on which the keeper reports to its parent that it has started, as startedOK or the
// error; in the manager it is the link to the keeper.
const linkFD = 3

const startedOK = "ok"

// killTimeout limits how long the keeper waits at its end for what it has killed.
const killTimeout = 5 * time.Second

// spawnTimeout is how long a keeper may take to report. A manager that does not start is given up earlier.
const spawnTimeout = 2 * time.Minute

// spawnKeeper starts a keeper that outlives this command and waits until it manages the home. It returns home.ErrLocked
// while another keeper does.
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
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start pgo: %w", err)
	}
	defer read.Close()
	closeInheritedOnExec()
	cmd := exec.Command(self, keeperCommand, string(h))
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	write.Close()
	if err != nil {
		return fmt.Errorf("start pgo: %w", err)
	}
	if err := read.SetReadDeadline(time.Now().Add(spawnTimeout)); err != nil {
		return fmt.Errorf("start pgo: %w", err)
	}
	answer, err := io.ReadAll(read)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("start pgo: its keeper (pid %d) did not report within %s; see %s", cmd.Process.Pid, spawnTimeout, h.LogPath("pgo"))
	case err == nil && string(answer) == startedOK:
		return cmd.Process.Release()
	case string(answer) == home.ErrLocked.Error():
		return home.ErrLocked
	case len(answer) > 0:
		return fmt.Errorf("start pgo: %s", answer)
	default:
		return fmt.Errorf("start pgo: it ended without a report; see %s", h.LogPath("pgo"))
	}
}

// runKeeper runs the keeper that `pgo up` starts, until it ends. args are its home.
func runKeeper(ctx context.Context, e *env, args []string) error {
	if len(args) != 1 || fileType(linkFD) != unix.S_IFIFO {
		return usageErrorf("pgo up starts the keeper; to stay in the foreground, use pgo up --foreground")
	}
	syscall.CloseOnExec(linkFD)
	parent := os.NewFile(linkFD, "parent")
	reported := false
	report := func(err error) {
		if reported {
			return
		}
		reported = true
		answer := startedOK
		if err != nil {
			answer = err.Error()
		}
		_, _ = io.WriteString(parent, answer) // a parent that waits no more needs no answer
		parent.Close()
	}
	err := keepHome(ctx, e, home.Home(args[0]), nil, report)
	if err != nil {
		report(err)
	}
	return err
}

// keepHome runs the keeper of a home until it ends. It calls started when the first manager runs or cannot be started. A
// process file is applied by that manager. It returns home.ErrLocked while another keeper has the home.
func keepHome(ctx context.Context, e *env, h home.Home, file *processfile.File, started func(error)) error {
	closeInheritedOnExec()
	err := h.CreateDirs()
	if err != nil {
		return err
	}
	// Never unlocked: a command that waits for the lock waits until this process is gone.
	if e.lock, err = h.Lock(); err != nil {
		return err
	}
	dir, err := h.SocketDir(e.getenv)
	if err != nil {
		return err
	}
	// With the lock, no one else uses the sockets that a killed keeper left there.
	stale, _ := filepath.Glob(filepath.Join(dir, "*.notify")) // the pattern is valid
	for _, file := range stale {
		_ = os.Remove(file)
	}
	socket := home.SocketPath(dir)
	fd, err := listenControl(socket)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(dir) }() // only when it is empty: other files in it stay
	defer func() { _ = os.Remove(socket) }()
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("start the keeper: %w", err)
	}
	if err := h.WriteManager(home.ManagerAddr{PID: os.Getpid(), Socket: socket}); err != nil {
		return fmt.Errorf("record the manager's address: %w", err)
	}
	defer h.RemoveManager()
	values := map[string][]byte{}
	if file != nil {
		if values[manager.ApplyKey], err = json.Marshal(file); err != nil {
			return fmt.Errorf("start the keeper: %w", err)
		}
	}
	log := newEventLog(openOwnLog(ctx, e.stdout, h))
	// Children of the keeper's children become its own when their parent ends, whatever session they are in: it finds them.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("start the keeper: %w", err)
	}
	defer func() {
		for _, s := range proc.KillDescendants(os.Getpid(), killTimeout) {
			log.Warn("killed what was left at the end", "pid", s.PID)
		}
	}()
	return keeper.Run(ctx, keeper.Options{
		Program:     "/proc/self/exe", // this program, also when its file was replaced
		Args:        []string{managerCommand, string(h), socket},
		Version:     e.build.Version,
		Log:         log,
		Data:        values,
		Descriptors: map[string]int{manager.ControlKey: fd, manager.NullKey: null},
		OnStarted:   started,
	})
}

// listenControl opens the control socket and returns its descriptor.
func listenControl(socket string) (int, error) {
	l, err := control.Listen(socket)
	if err != nil {
		return -1, err
	}
	defer func() { _ = l.Close() }() // the copy listens on
	return control.CopyDescriptor(l)
}

// fileType returns the type bits of an open descriptor's file, 0 where it is not open.
func fileType(fd int) uint32 {
	var s unix.Stat_t
	if unix.Fstat(fd, &s) != nil {
		return 0
	}
	return s.Mode & unix.S_IFMT
}

// closeInheritedOnExec keeps descriptors that this process inherited from the processes that it starts: a reader of such a
// pipe would wait for its end as long as pgo runs.
func closeInheritedOnExec() {
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // unknown to kernels before 5.11, where they stay open
}
