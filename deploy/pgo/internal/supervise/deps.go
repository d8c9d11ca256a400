package supervise

import (
	"log/slog"
	"strconv"
	"sync/atomic"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/state"
)

// The names under which the keeper holds and remembers things.
const (
	NullFileKey    = "null"
	logKey         = "log/"     // + child
	errKey         = "err/"     // + child
	notifyKey      = "notify/"  // + child
	ownListenerKey = "alone/"   // + child + / + listener
	listenKey      = "listen/"  // + address, or process / listener
	childCountKey  = "children" // how many there ever were
)

// Deps is what processes share.
type Deps struct {
	Home          home.Home
	Link          *keeper.Link
	Store         *state.Store
	leftovers     *runningFile
	Log           *slog.Logger
	LogFiles      *LogFiles
	Env           map[string]string // of every process, under its own
	root          func() string     // where processes run that do not say
	Policy        ReleasePolicy
	socketDir     string        // folder of the notify sockets
	childCount    *atomic.Int64 // children that there ever were
	Reloads       *ReloadCounters
	requestReader *requests.Reader
}

// NewDeps returns what processes share. Its policy is set before the first process is created.
func NewDeps(h home.Home, link *keeper.Link, log *slog.Logger, sockets string, environ map[string]string, root func() string) *Deps {
	return &Deps{
		Home: h, Link: link, Log: log, socketDir: sockets, Env: environ, root: root,
		Store:         state.NewStore(log, state.NewHistory(h.EventsPath(), h.PreviousEventsPath(), log), link.KeepData),
		leftovers:     &runningFile{path: h.ProcessesPath(), log: log, entries: map[string]Leftover{}},
		LogFiles:      &LogFiles{writers: map[string]*logfile.Writer{}},
		childCount:    &atomic.Int64{},
		Reloads:       newReloadCounters(link.KeepData),
		requestReader: requests.NewReader(),
	}
}

// RestoreKept takes over what the manager before has kept of all processes: their records are restored by the store.
func (h *Deps) RestoreKept(kept map[string][]byte) {
	if n, err := strconv.ParseInt(string(kept[childCountKey]), 10, 64); err == nil {
		h.childCount.Store(n)
	}
	h.Reloads.counters.Restore(kept)
}
