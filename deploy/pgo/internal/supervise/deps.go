package supervise

import (
	"log/slog"
	"strconv"
	"sync/atomic"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/state"
)

// The keys under which the keeper holds descriptors and remembers data.
const (
	NullFileKey    = "null"
	logKey         = "log/"     // + child
	errKey         = "err/"     // + child
	notifyKey      = "notify/"  // + child
	ownListenerKey = "alone/"   // + child + / + listener
	childCountKey  = "children" // how many so far
)

// Deps hold the dependencies that all processes share.
type Deps struct {
	Home          home.Home
	Link          *keeper.Link
	Store         *state.Store
	Runner        *command.Runner // of all that runs beside the processes
	leftovers     *runningFile
	notified      *notifiedChildren
	starts        *startBudget
	Log           *slog.Logger
	LogFiles      *LogFiles
	Env           map[string]string // of every process; its own variables override it
	root          func() string     // default directory of processes
	socketDir     string            // directory of the notify sockets
	childCount    *atomic.Int64     // children so far
	Reloads       *ReloadCounters
	requestReader *requests.Reader

	// DeployedPrograms returns the program that runs for each deployed file that is watched, by the path of the file.
	DeployedPrograms func() map[string]string
}

// NewDeps returns what all processes share. The caller sets DeployedPrograms before the first process is started.
func NewDeps(h home.Home, link *keeper.Link, log *slog.Logger, socketDir string, environ map[string]string, root func() string) *Deps {
	return &Deps{
		Home: h, Link: link, Log: log, socketDir: socketDir, Env: environ, root: root,
		Runner:        &command.Runner{},
		Store:         state.NewStore(log, state.NewHistory(h.EventsPath(), h.PreviousEventsPath(), log), link.KeepData),
		starts:        newStartBudget(),
		notified:      &notifiedChildren{all: map[*Child]struct{}{}},
		leftovers:     &runningFile{path: h.ProcessesPath(), log: log, entries: map[string]Leftover{}},
		LogFiles:      &LogFiles{writers: map[string]*logfile.Writer{}},
		childCount:    &atomic.Int64{},
		Reloads:       newReloadCounters(link.KeepData),
		requestReader: requests.NewReader(),
	}
}

// isKeeperGone reports whether the keeper is gone, and the ends of children with it are unknown.
func (h *Deps) isKeeperGone() bool {
	select {
	case <-h.Link.Lost():
		return true
	default:
		return false
	}
}

// RestoreKept takes over the counters that the manager before has kept. The state store restores its records itself.
func (h *Deps) RestoreKept(kept map[string][]byte) {
	if n, err := strconv.ParseInt(string(kept[childCountKey]), 10, 64); err == nil {
		h.childCount.Store(n)
	}
	h.Reloads.counters.Restore(kept)
}

// Releases returns the release store of a process.
func (h *Deps) Releases(spec processfile.Process) *release.Store {
	return &release.Store{Dir: h.Home.ReleaseDir(), Keep: spec.Watch.Keep, MaxBytes: spec.Watch.MaxSize, Log: h.Log}
}
