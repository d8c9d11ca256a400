package manager

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/shim"
	"pgo/deploy/pgo/internal/state"
)

// The names under which the keeper holds and remembers things.
const (
	nullKey   = "null"
	logKey    = "log/"    // + child
	errKey    = "err/"    // + child
	notifyKey = "notify/" // + child
	aloneKey  = "alone/"  // + child + / + listener
	listenKey = "listen/" // + address, or process / listener
	fileKey   = "file"
	downKey   = "down"
	countKey  = "children" // how many there ever were
)

// host is what processes share.
type host struct {
	home    home.Home
	link    *keeper.Link
	board   *state.Store
	running *running
	log     *slog.Logger
	logs    *logs
	env     map[string]string // of every process, under its own
	root    func() string     // where processes run that do not say
	gates   gates
	sockets string        // folder of the notify sockets
	count   *atomic.Int64 // children that there ever were
	tally   *reloads
	deploys *deploys
	counts  *requests.Reader
}

// logs are the writers of log files, one a file.
type logs struct {
	mu  sync.Mutex
	all map[string]*logfile.Writer
}

func (l *logs) of(path string, spec processfile.Logs) *logfile.Writer {
	policy := logfile.Policy{MaxSize: spec.MaxSize, MaxAge: spec.MaxAge, Keep: spec.Keep, KeepFor: spec.KeepFor, Compress: spec.Compress}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.all[path]
	if w == nil {
		w = logfile.NewWriter(path, policy)
		l.all[path] = w
	}
	w.SetPolicy(policy)
	return w
}

// opened is what a child is given: held by the keeper, and copies here.
type opened struct {
	pipes     map[string]int
	alone     map[string]listener
	inherited map[string]listener
	notify    *notifySocket
}

// fork starts a child in a slot. It returns when the child has become its program.
func (h *host) fork(s state.InstanceID, spec processfile.Process, shared map[string]listener, c copied, as role) (*child, error) {
	h.link.KeepData(countKey, []byte(strconv.FormatInt(h.count.Add(1), 10)))
	id := fmt.Sprintf("%s.%d.%d", s.Name, s.Number, h.count.Load())
	k := &child{
		host: h, slot: s, spec: spec, prog: c, told: make(chan struct{}, 1), pings: make(chan struct{}, 1), words: &state.Tail{},
		state: childState{Role: as, Release: c.sum},
	}
	k.Child.ChildSpec.ID = id
	k.opened.pipes, k.opened.alone, k.opened.inherited = map[string]int{}, map[string]listener{}, shared
	if err := h.start(k); err != nil {
		k.release()
		if k.opened.notify != nil {
			k.opened.notify.close()
		}
		return nil, err
	}
	return k, nil
}

// start opens what the child needs and has the keeper start it.
func (h *host) start(k *child) error {
	from, err := h.logs.of(h.home.LogPath(k.slot.Name), k.spec.Logs).Create()
	if err != nil {
		return err
	}
	k.logFrom = from
	as, err := whois(k.spec.User, k.spec.Group)
	if err != nil {
		return errors.Join(errInVain, err)
	}
	f := keeper.ChildSpec{ID: k.Child.ChildSpec.ID, Name: k.slot.Name, Instance: k.slot.Number, Dir: k.dir(), Files: []string{nullKey}}
	if err := k.openPipes(&f, as); err != nil {
		return err
	}
	if err := k.openListeners(&f); err != nil {
		return err
	}
	if k.spec.Readiness.Notify || k.spec.Watchdog > 0 {
		if err := k.openNotify(as); err != nil {
			return err
		}
	}
	env := k.environment()
	program, err := k.program(env)
	if err != nil {
		return errors.Join(errInVain, err)
	}
	f.Env = list(env)
	if f.Spec, err = json.Marshal(k.spec); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return h.launch(k, f, program, setting(k.spec.Limits, as))
}

// launch has the keeper run the shim, which becomes the program or says why not.
func (h *host) launch(k *child, f keeper.ChildSpec, program string, s shim.Settings) error {
	report, reporter, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer report.Close()
	argv, err := shim.BuildArgs(len(f.Files), s, program, append([]string{k.called(program)}, k.spec.Args...))
	if err != nil {
		return err
	}
	// This very program, also when its file was replaced.
	f.Program, f.Argv = fmt.Sprintf("/proc/%d/exe", os.Getpid()), append([]string{"pgo"}, argv...)
	k.Child, err = h.link.StartChild(f, int(reporter.Fd()))
	reporter.Close()
	if err != nil {
		k.Child.ChildSpec.ID = f.ID
		return err
	}
	k.exit = h.link.ChildExit(k.Child.ChildSpec.ID)
	k.change(func(*childState) {})
	h.running.add(k)
	if err := k.begin(); err != nil {
		k.settle()
		return err
	}
	text, err := io.ReadAll(report)
	if err != nil || len(text) == 0 {
		return nil // what became of it shows in how it ends
	}
	var failure shim.Failure
	if err := json.Unmarshal(text, &failure); err != nil {
		return nil //nolint:nilerr // half a word: how it ends has to do
	}
	k.settle()
	if why := release.CheckPlatform(program); failure.Step == "" && errors.Is(&failure, unix.ENOEXEC) && why != nil {
		return fmt.Errorf("start: %w (%w)", why, &failure)
	}
	return fmt.Errorf("start %s: %w", k.spec.Command, &failure)
}

func (k *child) dir() string {
	if k.spec.Dir != "" {
		return k.spec.Dir
	}
	return k.host.root()
}

// openPipes makes stdout and stderr. A process of another user may want to open them by name.
func (k *child) openPipes(f *keeper.ChildSpec, as *shim.User) error {
	keys := []string{logKey + k.Child.ChildSpec.ID, logKey + k.Child.ChildSpec.ID}
	if k.spec.Logs.Split {
		keys[1] = errKey + k.Child.ChildSpec.ID
	}
	for _, key := range slices.Compact(slices.Clone(keys)) {
		fd, err := logfile.NewPipe()
		if err != nil {
			return err
		}
		k.opened.pipes[key] = fd
		if as != nil {
			if err := unix.Fchown(fd, as.UID, as.GID); err != nil {
				return fmt.Errorf("give the log's pipe to its user: %w", err)
			}
		}
		if err := k.host.link.HoldDescriptor(key, fd); err != nil {
			return err
		}
	}
	f.Files = append(f.Files, keys...)
	return nil
}

func (k *child) openListeners(f *keeper.ChildSpec) error {
	for _, l := range k.spec.Listeners {
		if !l.PerInstance {
			f.Files = append(f.Files, k.opened.inherited[l.Name].key)
			continue
		}
		open, err := listen(l.Addr, aloneKey+k.Child.ChildSpec.ID+"/"+l.Name, k.host.link)
		if err != nil {
			return fmt.Errorf("listener %s: %w", l.Name, err)
		}
		k.opened.alone[l.Name] = open
		f.Files = append(f.Files, open.key)
	}
	return nil
}

func (k *child) openNotify(as *shim.User) error {
	n, err := listenNotify(filepath.Join(k.host.sockets, k.Child.ChildSpec.ID+".notify"))
	if err != nil {
		return err
	}
	k.opened.notify = n
	if as != nil {
		// The folder can be passed through then, not read; the control socket is closed to others by its own mode.
		err := errors.Join(os.Chmod(k.host.sockets, 0o711), os.Chown(n.path, as.UID, as.GID))
		if err != nil {
			return fmt.Errorf("give the notify socket to its user: %w", err)
		}
	}
	return n.control(func(fd int) error { return k.host.link.HoldDescriptor(notifyKey+k.Child.ChildSpec.ID, fd) })
}

// environment is what the child gets: pgo's own, the file's, and systemd's conventions.
func (k *child) environment() map[string]string {
	env := surroundings(k.host.env, k.spec)
	if k.spec.Kind == processfile.KindGate {
		env = looksAt(env, k.dir(), k.host.gates.deployed())
	}
	env["PGO_INSTANCE"] = strconv.Itoa(k.slot.Number)
	if k.opened.notify != nil {
		// Only where it was agreed on: MariaDB for one says through it what is not meant for us.
		env["NOTIFY_SOCKET"] = k.opened.notify.path
	}
	if k.spec.Watchdog > 0 {
		env["WATCHDOG_USEC"] = strconv.FormatInt(k.spec.Watchdog.Microseconds(), 10)
	}
	if len(k.spec.Listeners) > 0 {
		var names []string
		for _, l := range k.spec.Listeners {
			names = append(names, l.Name)
		}
		env["LISTEN_FDS"] = strconv.Itoa(len(names))
		env["LISTEN_FDNAMES"] = strings.Join(names, ":")
	}
	return env
}

// surroundings are a process's variables without what belongs to one start of it.
func surroundings(base map[string]string, spec processfile.Process) map[string]string {
	env := maps.Clone(base)
	maps.Copy(env, spec.Env)
	return env
}

func list(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for key, value := range env {
		out = append(out, key+"="+value)
	}
	slices.Sort(out)
	return out
}

// adopt takes a child over that an earlier manager has started.
func (h *host) adopt(c keeper.Child, shared map[string]listener) (*child, error) {
	k := &child{
		host: h, Child: c, slot: state.InstanceID{Name: c.ChildSpec.Name, Number: c.ChildSpec.Instance}, exit: h.link.ChildExit(c.ChildSpec.ID),
		told: make(chan struct{}, 1), pings: make(chan struct{}, 1), words: &state.Tail{},
	}
	k.opened.pipes, k.opened.alone, k.opened.inherited = map[string]int{}, map[string]listener{}, shared
	if err := json.Unmarshal(c.ChildSpec.Spec, &k.spec); err != nil {
		return nil, fmt.Errorf("take over %s: %w", c.ChildSpec.ID, err)
	}
	if len(c.State) > 0 {
		if err := json.Unmarshal(c.State, &k.state); err != nil {
			return nil, fmt.Errorf("take over %s: %w", c.ChildSpec.ID, err)
		}
	} else {
		k.state.Role = next // it was just being started
	}
	if sum := k.state.Release; sum != "" {
		k.prog = copied{sum: sum, path: filepath.Join(h.home.ReleaseDir(), c.ChildSpec.Name, sum)}
	}
	for _, key := range []string{logKey + c.ChildSpec.ID, errKey + c.ChildSpec.ID} {
		if fd, ok := h.link.FDs[key]; ok {
			k.opened.pipes[key] = fd
		}
	}
	for _, l := range k.spec.Listeners {
		key := aloneKey + c.ChildSpec.ID + "/" + l.Name
		if fd, ok := h.link.FDs[key]; ok {
			k.opened.alone[l.Name] = listener{key: key, fd: fd, addr: localAddr(fd)}
		}
	}
	if fd, ok := h.link.FDs[notifyKey+c.ChildSpec.ID]; ok {
		n, err := notifyFrom(fd, filepath.Join(h.sockets, c.ChildSpec.ID+".notify"))
		if err != nil {
			return nil, err
		}
		k.opened.notify = n
	}
	return k, k.begin()
}

// addrs are the listeners that the child has, by name.
func (k *child) addrs() map[string]string {
	addrs := map[string]string{}
	for name, l := range k.opened.inherited {
		addrs[name] = l.addr
	}
	for name, l := range k.opened.alone {
		addrs[name] = l.addr
	}
	return addrs
}

// up is how long the child has been running.
func (k *child) up() time.Duration { return time.Since(k.Child.StartedAt) }
