package supervise

import (
	"encoding/json"
	"log/slog"
	"sync"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
)

// runningFile is the file with all processes that run. A keeper that is killed cannot hand its children over, so the next
// one has to find them.
type runningFile struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	entries map[string]Leftover
}

// Leftover is a process that was started and not yet seen to end.
type Leftover struct {
	Name  string           `json:"name"`
	PID   int              `json:"pid"`
	Start uint64           `json:"start"` // with Boot and PID, this process and no later one
	Boot  string           `json:"boot"`
	Kind  string           `json:"kind"`
	After []string         `json:"after"`
	Stop  processfile.Stop `json:"stop"`
}

func (r *runningFile) add(id string, l Leftover) { r.update(func() { r.entries[id] = l }) }

func (r *runningFile) remove(id string) { r.update(func() { delete(r.entries, id) }) }

func (r *runningFile) update(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	content, err := json.Marshal(r.entries)
	if err == nil {
		err = home.ReservedFile{Path: r.path}.Replace(content)
	}
	if err != nil {
		// A full disk must not stop a process: what is lost is only finding it after a crash of the manager.
		r.log.Error("write down what runs", "error", err)
	}
}
