package manager

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/control"
)

// recent is how many events are kept for those who follow; a follower that is further behind misses some.
const recent = 1000

// slot is one instance of a process, whichever process runs in it.
type slot struct {
	name   string
	number int
}

func (s slot) key() string { return recordKey + s.name + "/" + strconv.Itoa(s.number) }

// board is the record of all processes. Every change of state goes through it, is written down with its reason, and
// wakes who waits for changes.
//
// Its lock is the last that is taken: who holds that of a process may use the board, so what is handed to it to change a
// record takes no lock.
type board struct {
	log     *slog.Logger
	keep    func(key string, data []byte) // for the next manager
	history *history

	mu      sync.Mutex
	records map[slot]*record
	order   []slot // of the process file
	events  []control.Event
	seq     int64
	changed chan struct{} // closed at every change, and replaced
}

// record is what outlives the manager.
type record struct {
	control.Process
	Started time.Time     `json:"started"` // of the running process
	Wanted  bool          `json:"wanted"`
	Done    bool          `json:"done"` // a one-shot that has ended well
	Next    time.Duration `json:"next_wait"`
	Again   []time.Time   `json:"again"` // starts again, for the limit
	Seq     int64         `json:"seq"`   // of its last event
	Total   int64         `json:"total"` // starts after it ended by itself, ever: for metrics
}

func newBoard(log *slog.Logger, h *history, keep func(string, []byte)) *board {
	return &board{log: log, history: h, keep: keep, records: map[slot]*record{}, changed: make(chan struct{})}
}

// set moves a process to a state. with, where given, changes more of its record in the same step.
func (b *board) set(s slot, to control.State, reason string, with ...func(*record)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.records[s]
	if r == nil {
		return
	}
	was := r.Process.PID
	for _, change := range with {
		change(r)
	}
	from := r.Process.Status
	r.Process.Status, r.Process.Reason = to, reason
	// While its successor starts it serves as it did before.
	r.Process.Ready = to == control.Ready || to == control.Reloading && r.Process.Ready || r.Done && to == control.Stopped
	if from != to {
		r.Process.Since = time.Now()
	}
	pid := r.Process.PID
	if pid == 0 {
		pid = was
	}
	b.publish(s, pid, from, to, reason)
}

// say records what a process says about itself.
func (b *board) say(s slot, message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.records[s]; r != nil && r.Process.Message != message {
		r.Process.Message = message
		b.publish(s, r.Process.PID, r.Process.Status, r.Process.Status, message)
	}
}

// tell publishes what happens to a process that is not the one in the slot.
func (b *board) tell(s slot, pid int, from, to control.State, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publish(s, pid, from, to, reason)
}

// remark publishes what happens to all instances of a process, and changes their records; their state stays.
func (b *board) remark(name, text string, change func(*record)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := false
	for _, s := range b.order {
		r := b.records[s]
		if s.name != name || r == nil {
			continue
		}
		change(r)
		b.store(s)
		if !said {
			b.publish(s, r.Process.PID, r.Process.Status, r.Process.Status, text)
			said = true
		}
	}
}

// note changes a record without its state: no event, but those who wait look again.
func (b *board) note(s slot, change func(*record)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.records[s]; r != nil {
		change(r)
		b.seq++
		r.Seq = b.seq
		b.store(s)
		b.wake()
	}
}

// get returns a copy of a record.
func (b *board) get(s slot) record {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.records[s]; r != nil {
		return *r
	}
	return record{Process: control.Process{Status: control.Stopped}}
}

func (b *board) publish(s slot, pid int, from, to control.State, reason string) {
	b.seq++
	e := control.Event{
		Seq: b.seq, Time: time.Now().UTC(), Process: s.name, Number: s.number, PID: pid, From: from, To: to, Reason: reason,
	}
	b.events = append(b.events, e)
	if len(b.events) > recent {
		b.events = slices.Clone(b.events[len(b.events)-recent/2:])
	}
	if r := b.records[s]; r != nil {
		r.Seq = b.seq
	}
	b.history.add(e)
	b.log.Info("state", "process", s.name, "instance", s.number, "pid", pid, "from", from, "to", to, "reason", reason)
	b.store(s)
	b.wake()
}

func (b *board) store(s slot) {
	data, err := json.Marshal(b.records[s])
	if err != nil {
		b.log.Error("remember a process", "process", s.name, "error", err)
		return
	}
	b.keep(s.key(), data)
}

func (b *board) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// lay makes the board hold exactly these processes, in this order. Known ones keep what is known.
func (b *board) lay(processes []control.Process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	records := map[slot]*record{}
	b.order = b.order[:0]
	for _, p := range processes {
		s := slot{p.Name, p.Instance}
		r := b.records[s]
		if r == nil {
			p.Status, p.Reason, p.Since, p.Draining = control.Stopped, "not started yet", time.Now(), []int{}
			r = &record{Process: p}
		}
		for name, addr := range p.Listeners {
			if known := r.Process.Listeners[name]; addr == "" && known != "" {
				p.Listeners[name] = known // of the process that runs
			}
		}
		r.Process.Kind, r.Process.After, r.Process.Listeners, r.Process.Instances = p.Kind, p.After, p.Listeners, p.Instances
		records[s] = r
		b.order = append(b.order, s)
	}
	for s := range b.records {
		if records[s] == nil {
			b.keep(s.key(), nil)
		}
	}
	b.records = records
	for _, s := range b.order {
		b.store(s)
	}
	b.wake()
}

// restore takes over what the manager before has written.
func (b *board) restore(s slot, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &record{}
	if err := json.Unmarshal(data, r); err != nil {
		return err
	}
	r.Process.Draining = []int{} // those that are there still are added again
	b.records[s] = r
	b.seq = max(b.seq, r.Seq)
	return nil
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
	for _, s := range b.order {
		r := b.records[s]
		p := r.Process
		if p.PID != 0 {
			p.Uptime = int64(time.Since(r.Started).Seconds())
		}
		p.Draining = slices.Clone(p.Draining)
		c.Processes = append(c.Processes, p)
	}
	return c, b.changed
}

// unready returns the first instance of these processes that is not ready, and a channel that is closed at the next change.
// Its name is "" where all are, and its state Ready; one that is not known is Stopped.
func (b *board) unready(names []string) (control.Process, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		found := false
		for _, s := range b.order {
			if s.name != name {
				continue
			}
			found = true
			if r := b.records[s]; !r.Process.Ready {
				return r.Process, b.changed
			}
		}
		if !found {
			return control.Process{Name: name, Status: control.Stopped}, b.changed
		}
	}
	return control.Process{Status: control.Ready}, b.changed
}
