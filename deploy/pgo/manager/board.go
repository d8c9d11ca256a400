package manager

import (
	"log/slog"
	"sync"
	"time"

	"pgo/deploy/pgo/control"
)

// kept is how many events are kept for those who follow; a follower that is further behind misses some.
const kept = 1000

// board is the record of all processes. Every change of state goes through it, is logged with its reason, and wakes
// who waits for changes.
type board struct {
	log *slog.Logger

	mu      sync.Mutex
	records map[string]*record
	order   []string // of the process file
	events  []control.Event
	seq     int64
	changed chan struct{} // closed at every change, and replaced
}

type record struct {
	control.Process
	started time.Time // of the running process
}

func newBoard(log *slog.Logger) *board {
	return &board{log: log, records: map[string]*record{}, changed: make(chan struct{})}
}

// set moves a process to a state. with, where given, changes more of its record in the same step.
func (b *board) set(name string, to control.State, reason string, with ...func(*record)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[name]
	if r == nil {
		return
	}
	for _, change := range with {
		change(r)
	}
	from := r.Status
	r.Status, r.Reason, r.Ready = to, reason, to == control.Ready
	if from != to {
		r.Since = time.Now()
	}
	b.publish(name, from, to, reason)
}

// say records what a process says about itself.
func (b *board) say(name, message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.records[name]; r != nil && r.Message != message {
		r.Message = message
		b.publish(name, r.Status, r.Status, message)
	}
}

// note changes a record without its state.
func (b *board) note(name string, change func(*record)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.records[name]; r != nil {
		change(r)
	}
}

func (b *board) publish(name string, from, to control.State, reason string) {
	b.seq++
	e := control.Event{Seq: b.seq, Time: time.Now().UTC(), Process: name, From: from, To: to, Reason: reason}
	b.events = append(b.events, e)
	if len(b.events) > kept {
		b.events = append([]control.Event(nil), b.events[len(b.events)-kept/2:]...)
	}
	b.log.Info("state", "process", name, "from", from, "to", to, "reason", reason)
	b.wake()
}

func (b *board) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// lay makes the board hold exactly these processes, in this order. Known ones keep what is known.
func (b *board) lay(processes []control.Process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	records := map[string]*record{}
	b.order = b.order[:0]
	for _, p := range processes {
		r := b.records[p.Name]
		if r == nil {
			p.Status, p.Reason, p.Since = control.Stopped, "not started yet", time.Now()
			r = &record{Process: p}
		}
		r.Kind, r.After, r.Listeners = p.Kind, p.After, p.Listeners
		records[p.Name] = r
		b.order = append(b.order, p.Name)
	}
	b.records = records
	b.wake()
}

// look returns the events after seq and all processes, and a channel that is closed at the next change.
func (b *board) look(after int64) (control.Changes, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := control.Changes{Seq: b.seq, Events: []control.Event{}, Processes: []control.Process{}}
	for _, e := range b.events {
		if e.Seq > after {
			c.Events = append(c.Events, e)
		}
	}
	for _, name := range b.order {
		r := b.records[name]
		p := r.Process
		if p.PID != 0 {
			p.Uptime = int64(time.Since(r.started).Seconds())
		}
		c.Processes = append(c.Processes, p)
	}
	return c, b.changed
}

// unready returns the first of names that is not ready, with its state, and a channel that is closed at the next
// change; "" where all are.
func (b *board) unready(names []string) (string, control.State, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		if r := b.records[name]; r == nil || !r.Ready {
			state := control.Stopped
			if r != nil {
				state = r.Status
			}
			return name, state, b.changed
		}
	}
	return "", control.Ready, b.changed
}
