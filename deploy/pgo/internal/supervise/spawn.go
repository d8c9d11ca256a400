package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/sdnotify"
	"pgo/deploy/pgo/internal/shim"
	"pgo/deploy/pgo/internal/sockets"
	"pgo/deploy/pgo/internal/state"
)

// spawn starts a child. It returns when the child has become its program.
func (h *Deps) spawn(s state.InstanceID, spec processfile.Process, shared map[string]sockets.Listener, c Program, as role) (*Child, error) {
	h.Link.KeepData(childCountKey, []byte(strconv.FormatInt(h.childCount.Add(1), 10)))
	id := fmt.Sprintf("%s.%d.%d", s.Name, s.Number, h.childCount.Load())
	k := &Child{
		deps: h, ID: s, Spec: spec, Program: c, readySignal: make(chan struct{}, 1), watchdogSignal: make(chan struct{}, 1), tail: &state.Tail{},
		state: childState{Role: as, Release: c.SHA256},
	}
	k.Handle.ChildSpec.ID = id
	k.resources.pipes, k.resources.own, k.resources.inherited = map[string]int{}, map[string]sockets.Listener{}, shared
	release, err := h.starts.reserve(countDescriptors(spec))
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer release()
	if err := h.prepareChild(k); err != nil {
		k.closeResources()
		if k.resources.notify != nil {
			k.resources.notify.Close()
		}
		return nil, err
	}
	return k, nil
}

// prepareChild opens what the child needs, and has the keeper start it.
func (h *Deps) prepareChild(k *Child) error {
	from, err := h.LogFiles.Writer(h.Home.LogPath(k.ID.Name), k.Spec.Logs).Create()
	if err != nil {
		return err
	}
	k.logOffset = from
	as, err := command.LookupUser(k.Spec.User, k.Spec.Group)
	if err != nil {
		return errors.Join(errNotRetryable, err)
	}
	f := keeper.ChildSpec{ID: k.Handle.ChildSpec.ID, Name: k.ID.Name, Instance: k.ID.Number, Dir: k.Dir(), Files: []string{NullFileKey}}
	if err := k.openPipes(&f, as); err != nil {
		return err
	}
	if err := k.openListeners(&f); err != nil {
		return err
	}
	if k.Spec.Readiness.Notify || k.Spec.Watchdog > 0 {
		if err := k.openNotify(as); err != nil {
			return err
		}
	}
	env := k.environment()
	program, err := k.programPath(env)
	if err == nil {
		err = command.CheckDir(f.Dir)
	}
	if err != nil {
		return errors.Join(errNotRetryable, err)
	}
	f.Env = command.ListEnv(env)
	if f.Spec, err = json.Marshal(k.Spec); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return h.runShim(k, f, program, command.ShimSettings(k.Spec.Limits, as))
}

// runShim has the keeper run the shim, which becomes the program or reports why it cannot.
func (h *Deps) runShim(k *Child, f keeper.ChildSpec, program string, s shim.Settings) error {
	report, reporter, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer report.Close()
	argv, err := shim.BuildArgs(len(f.Files), s, program, append([]string{k.argv0(program)}, k.Spec.Args...))
	if err != nil {
		return err
	}
	// The program of this process, even if its file was replaced.
	f.Program, f.Argv = fmt.Sprintf("/proc/%d/exe", os.Getpid()), append([]string{"pgo"}, argv...)
	k.Handle, err = h.Link.StartChild(f, int(reporter.Fd()))
	reporter.Close()
	if err != nil {
		k.Handle.ChildSpec.ID = f.ID
		return err
	}
	k.exit = h.Link.ChildExit(k.Handle.ChildSpec.ID)
	k.updateState(func(*childState) {})
	k.recordRunning()
	if err := k.attachOutput(); err != nil {
		k.reap()
		return err
	}
	text, err := readReport(report)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		k.reap()
		return fmt.Errorf("start %s: it was not executed within %s", k.Spec.Command, startTimeout)
	}
	if err != nil || len(text) == 0 {
		return nil // its exit shows the result
	}
	var failure shim.Failure
	if err := json.Unmarshal(text, &failure); err != nil {
		return nil //nolint:nilerr // half a word: how it ends has to do
	}
	k.reap()
	if why := release.CheckPlatform(program); failure.Step == "" && errors.Is(&failure, unix.ENOEXEC) && why != nil {
		return fmt.Errorf("start: %w (%w)", why, &failure)
	}
	if failure.Step == "" {
		return fmt.Errorf("start %s: %w", k.Spec.Command, command.ExplainExec(program, &failure))
	}
	return fmt.Errorf("start %s: %w", k.Spec.Command, &failure)
}

// recordRunning writes the child down, so that the next keeper finds it where this one is killed.
func (k *Child) recordRunning() {
	k.deps.leftovers.add(k.Handle.ChildSpec.ID, Leftover{
		Name: k.ID.Name, PID: k.Handle.PID, Start: k.Handle.StartTicks, Boot: proc.ReadBootID(),
		Kind: k.Spec.Kind, After: k.Spec.After, Stop: k.Spec.Stop,
	})
}

// startTimeout is how long the shim may take to become the program. The program may be on a disk that does not answer.
const startTimeout = 30 * time.Second

// readReport reads what the shim reports: nothing when it has become the program.
func readReport(report *os.File) ([]byte, error) {
	if err := report.SetReadDeadline(time.Now().Add(startTimeout)); err != nil {
		return nil, err
	}
	return io.ReadAll(report)
}

// Dir returns the directory that the child runs in.
func (k *Child) Dir() string {
	if k.Spec.Dir != "" {
		return k.Spec.Dir
	}
	return k.deps.root()
}

// openPipes creates the pipes of stdout and stderr. A process of another user may want to open them by name.
func (k *Child) openPipes(f *keeper.ChildSpec, as *shim.User) error {
	keys := []string{logKey + k.Handle.ChildSpec.ID, logKey + k.Handle.ChildSpec.ID}
	if k.Spec.Logs.Split {
		keys[1] = errKey + k.Handle.ChildSpec.ID
	}
	for _, key := range slices.Compact(slices.Clone(keys)) {
		fd, err := logfile.NewPipe()
		if err != nil {
			return err
		}
		k.resources.pipes[key] = fd
		if as != nil {
			if err := unix.Fchown(fd, as.UID, as.GID); err != nil {
				return fmt.Errorf("give the log's pipe to its user: %w", err)
			}
		}
		if err := k.deps.Link.HoldDescriptor(key, fd); err != nil {
			return err
		}
	}
	f.Files = append(f.Files, keys...)
	return nil
}

func (k *Child) openListeners(f *keeper.ChildSpec) error {
	for _, l := range k.Spec.Listeners {
		if !l.PerInstance {
			f.Files = append(f.Files, k.resources.inherited[l.Name].Key)
			continue
		}
		open, err := sockets.OpenListener(l.Addr, ownListenerKey+k.Handle.ChildSpec.ID+"/"+l.Name, k.deps.Link)
		if err != nil {
			return fmt.Errorf("listener %s: %w", l.Name, err)
		}
		k.resources.own[l.Name] = open
		f.Files = append(f.Files, open.Key)
	}
	return nil
}

func (k *Child) openNotify(as *shim.User) error {
	path := filepath.Join(k.deps.socketDir, k.Handle.ChildSpec.ID+".notify")
	n, err := sdnotify.OpenSocket(path)
	if errors.Is(err, os.ErrNotExist) { // the directory has disappeared
		if err := home.CreatePrivateDir(k.deps.socketDir); err != nil {
			return err
		}
		n, err = sdnotify.OpenSocket(path)
	}
	if err != nil {
		return err
	}
	k.resources.notify = n
	k.deps.notified.add(k)
	return k.shareNotify(as)
}

// shareNotify lets the child's user reach the notify socket, and has the keeper hold it.
func (k *Child) shareNotify(as *shim.User) error {
	n := k.resources.notify
	if as != nil {
		// The directory can be traversed then, not read; the control socket is closed to others by its own mode.
		err := errors.Join(os.Chmod(k.deps.socketDir, 0o711), os.Chown(n.Path, as.UID, as.GID))
		if err != nil {
			return fmt.Errorf("give the notify socket to its user: %w", err)
		}
	}
	return n.Control(func(fd int) error { return k.deps.Link.HoldDescriptor(notifyKey+k.Handle.ChildSpec.ID, fd) })
}

// environment returns the child's environment: pgo's own, overridden by the process file and by systemd's conventions.
func (k *Child) environment() map[string]string {
	env := command.MergeEnv(k.deps.Env, k.Spec)
	if k.Spec.Kind == processfile.KindGate {
		env = SubstituteDeployed(env, k.Dir(), k.deps.DeployedPrograms())
	}
	env["PGO_INSTANCE"] = strconv.Itoa(k.ID.Number)
	if k.resources.notify != nil {
		// Only where the process file asks for it: MariaDB, for one, sends messages that are not meant for us.
		env["NOTIFY_SOCKET"] = k.resources.notify.Path
	}
	if k.Spec.Watchdog > 0 {
		env["WATCHDOG_USEC"] = strconv.FormatInt(k.Spec.Watchdog.Microseconds(), 10)
	}
	if len(k.Spec.Listeners) > 0 {
		var names []string
		for _, l := range k.Spec.Listeners {
			names = append(names, l.Name)
		}
		env["LISTEN_FDS"] = strconv.Itoa(len(names))
		env["LISTEN_FDNAMES"] = strings.Join(names, ":")
	}
	return env
}

// adopt takes over a child that an earlier manager has started.
func (h *Deps) adopt(c keeper.Child, shared map[string]sockets.Listener) (*Child, error) {
	k := &Child{
		deps: h, Handle: c, ID: state.InstanceID{Name: c.ChildSpec.Name, Number: c.ChildSpec.Instance}, exit: h.Link.ChildExit(c.ChildSpec.ID),
		readySignal: make(chan struct{}, 1), watchdogSignal: make(chan struct{}, 1), tail: &state.Tail{},
	}
	k.resources.pipes, k.resources.own, k.resources.inherited = map[string]int{}, map[string]sockets.Listener{}, shared
	if err := json.Unmarshal(c.ChildSpec.Spec, &k.Spec); err != nil {
		return nil, fmt.Errorf("take over %s: %w", c.ChildSpec.ID, err)
	}
	if len(c.State) > 0 {
		if err := json.Unmarshal(c.State, &k.state); err != nil {
			return nil, fmt.Errorf("take over %s: %w", c.ChildSpec.ID, err)
		}
	} else {
		k.state.Role = roleNext // it was just being started
	}
	if sum := k.state.Release; sum != "" {
		k.Program = Program{SHA256: sum, Path: filepath.Join(h.Home.ReleaseDir(), c.ChildSpec.Name, sum)}
	}
	for _, key := range []string{logKey + c.ChildSpec.ID, errKey + c.ChildSpec.ID} {
		if fd, ok := h.Link.FDs[key]; ok {
			k.resources.pipes[key] = fd
		}
	}
	for _, l := range k.Spec.Listeners {
		key := ownListenerKey + c.ChildSpec.ID + "/" + l.Name
		if fd, ok := h.Link.FDs[key]; ok {
			k.resources.own[l.Name] = sockets.Listener{Key: key, FD: fd, Addr: sockets.LocalAddress(fd)}
		}
	}
	if fd, ok := h.Link.FDs[notifyKey+c.ChildSpec.ID]; ok {
		n, err := sdnotify.AdoptSocket(fd, filepath.Join(h.socketDir, c.ChildSpec.ID+".notify"))
		if err != nil {
			return nil, err
		}
		k.resources.notify = n
		h.notified.add(k)
	}
	k.recordRunning()
	return k, k.attachOutput()
}

// addresses returns the addresses of the child's listeners, by name.
func (k *Child) addresses() map[string]string {
	addrs := map[string]string{}
	for name, l := range k.resources.inherited {
		addrs[name] = l.Addr
	}
	for name, l := range k.resources.own {
		addrs[name] = l.Addr
	}
	return addrs
}

// Uptime returns how long the child has been running.
func (k *Child) Uptime() time.Duration { return time.Since(k.Handle.StartedAt) }

// programPath returns the path of the program that the child runs.
func (k *Child) programPath(env map[string]string) (string, error) {
	if k.Program.Path != "" {
		return k.Program.Path, command.CheckExecutable(k.Program.Path)
	}
	return command.FindCommand(k.Spec.Command, env)
}

// argv0 returns the name under which it runs: people look for the file that they have deployed.
func (k *Child) argv0(program string) string {
	if k.Program.Path != "" {
		return k.Spec.Command
	}
	return program
}
