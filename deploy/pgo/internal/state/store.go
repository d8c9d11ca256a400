// Package state keeps the record of every process: what it is, which state it is in and why. Each change is published
// as an event, written to the history, handed over for the next manager, and wakes whoever waits for changes.
package state

import (
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/control"
)

// maxEvents is how many events are kept for followers; a follower that is further behind misses some.
const maxEvents = 1000

// keyPrefix begins the keys under which records are kept for the next manager.
const keyPrefix = "process/"

// Keep hands data over for the next manager, under a key. Nil data removes the key.
type Keep func(key string, data []byte)

// InstanceID identifies one instance of a process, whichever operating system process runs as it.
type InstanceID struct {
	Name   string
	Number int
}

func (id InstanceID) key() string { return keyPrefix + id.Name + "/" + strconv.Itoa(id.Number) }

// Store holds the records of all processes. Its methods may be called concurrently.
//
// Its lock is the last in the lock order: a caller may hold the lock of a process. For the same reason the functions
// that are passed to it to change a record must not take any lock.
type Store struct {
	log     *slog.Logger
	keep    Keep
	history *History

	mu      sync.Mutex // guards all fields below, and the writes of history
	records map[InstanceID]*Record
	order   []InstanceID // as in the process file
	events  []control.Event
	seq     int64         // of the last change
	changed chan struct{} // closed and replaced at every change
}

// Record is the part of an instance that outlives the manager.
type Record struct {
	control.Process
	Started       time.Time     `json:"started"`   // of the running process
	Wanted        bool          `json:"wanted"`    // it is to run
	Done          bool          `json:"done"`      // a one-shot that has ended well
	NextWait      time.Duration `json:"next_wait"` // before the next restart
	RestartTimes  []time.Time   `json:"again"`     // within the window of the restart limit
	Seq           int64         `json:"seq"`       // of its last change
	TotalRestarts int64         `json:"total"`     // after it ended by itself, ever: for metrics
	WatchdogKills int64         `json:"watchdog_kills"`
	LivenessKills int64         `json:"liveness_kills"`
}

// NewStore returns an empty store.
func NewStore(log *slog.Logger, h *History, keep Keep) *Store {
	return &Store{log: log, history: h, keep: keep, records: map[InstanceID]*Record{}, changed: make(chan struct{})}
}

// Transition moves an instance to a state and publishes an event. The changes are applied to its record in the same step.
// It ignores an unknown instance.
func (s *Store) Transition(id InstanceID, to control.State, reason string, changes ...func(*Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r == nil {
		return
	}
	was := r.Process.PID
	for _, change := range changes {
		change(r)
	}
	from := r.Process.Status
	r.Process.Status, r.Process.Reason = to, reason
	// While its successor starts, the process serves as it did before.
	r.Process.Ready = to == control.Ready || to == control.Reloading && r.Process.Ready || r.Done && to == control.Stopped
	if from != to {
		r.Process.Since = time.Now()
	}
	pid := r.Process.PID
	if pid == 0 {
		pid = was
	}
	s.publishEvent(id, pid, from, to, reason)
}

// SetMessage records the status message that a process reports, and publishes it if it is new.
func (s *Store) SetMessage(id InstanceID, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[id]; r != nil && r.Process.Message != message {
		r.Process.Message = message
		s.publishEvent(id, r.Process.PID, r.Process.Status, r.Process.Status, message)
	}
}

// PublishEvent publishes an event that changes no record, such as that of a process which was replaced.
func (s *Store) PublishEvent(id InstanceID, pid int, from, to control.State, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publishEvent(id, pid, from, to, reason)
}

// Announce publishes one event about all instances of a process. Their states stay. change, unless it is nil, is applied
// to each of their records.
func (s *Store) Announce(name, text string, change func(*Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	published := false
	for _, id := range s.order {
		r := s.records[id]
		if id.Name != name || r == nil {
			continue
		}
		if change != nil {
			change(r)
		}
		s.persistRecord(id)
		if !published {
			s.publishEvent(id, r.Process.PID, r.Process.Status, r.Process.Status, text)
			published = true
		}
	}
}

// Update changes a record without publishing an event; whoever waits for changes is woken. It ignores an unknown
// instance.
func (s *Store) Update(id InstanceID, change func(*Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[id]; r != nil {
		change(r)
		s.seq++
		r.Seq = s.seq
		s.persistRecord(id)
		s.wakeWaiters()
	}
}

// Get returns a copy of a record; an unknown instance is Stopped.
func (s *Store) Get(id InstanceID) Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[id]; r != nil {
		return *r
	}
	return Record{Process: control.Process{Status: control.Stopped}}
}

// publishEvent appends an event, logs it and persists the record. The caller holds s.mu.
func (s *Store) publishEvent(id InstanceID, pid int, from, to control.State, reason string) {
	s.seq++
	e := control.Event{
		Seq: s.seq, Time: time.Now().UTC(), Process: id.Name, Instance: id.Number, PID: pid, From: from, To: to, Reason: reason,
	}
	s.events = append(s.events, e)
	if len(s.events) > maxEvents {
		s.events = slices.Clone(s.events[len(s.events)-maxEvents/2:])
	}
	if r := s.records[id]; r != nil {
		r.Seq = s.seq
	}
	s.history.Append(e)
	s.log.Info("state", "process", id.Name, "instance", id.Number, "pid", pid, "from", from, "to", to, "reason", reason)
	s.persistRecord(id)
	s.wakeWaiters()
}

func (s *Store) persistRecord(id InstanceID) {
	data, err := json.Marshal(s.records[id])
	if err != nil {
		s.log.Error("remember a process", "process", id.Name, "error", err)
		return
	}
	s.keep(id.key(), data)
}

func (s *Store) wakeWaiters() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Reset makes the store hold exactly these instances, in this order. A known instance keeps its state.
func (s *Store) Reset(processes []control.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := map[InstanceID]*Record{}
	s.order = s.order[:0]
	for _, p := range processes {
		id := InstanceID{p.Name, p.Instance}
		r := s.records[id]
		if r == nil {
			p.Status, p.Reason, p.Since, p.Draining = control.Stopped, "not started yet", time.Now(), []int{}
			r = &Record{Process: p}
		}
		for name, addr := range p.Listeners {
			if known := r.Process.Listeners[name]; addr == "" && known != "" {
				p.Listeners[name] = known // of the process that runs
			}
		}
		r.Process.Kind, r.Process.After, r.Process.Listeners, r.Process.Instances = p.Kind, p.After, p.Listeners, p.Instances
		records[id] = r
		s.order = append(s.order, id)
	}
	for id := range s.records {
		if records[id] == nil {
			s.keep(id.key(), nil)
		}
	}
	s.records = records
	for _, id := range s.order {
		s.persistRecord(id)
	}
	s.wakeWaiters()
}

// Restore takes over the records that the manager before has kept. Other keys are ignored.
func (s *Store) Restore(kept map[string][]byte) {
	for key, data := range kept {
		rest, ok := strings.CutPrefix(key, keyPrefix)
		name, number, _ := strings.Cut(rest, "/")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			continue
		}
		if err := s.restoreRecord(InstanceID{name, n}, data); err != nil {
			s.log.Error("take over the state of a process", "process", name, "error", err)
		}
	}
}

func (s *Store) restoreRecord(id InstanceID, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Record{}
	if err := json.Unmarshal(data, r); err != nil {
		return err
	}
	r.Process.Draining = []int{} // those that are still there are added again
	s.records[id] = r
	s.seq = max(s.seq, r.Seq)
	return nil
}

// Changes returns all processes and the events after seq, and a channel that is closed at the next change.
func (s *Store) Changes(after int64) (control.Changes, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := control.Changes{Seq: s.seq, Events: []control.Event{}, Processes: []control.Process{}}
	for _, e := range s.events {
		if e.Seq > after {
			c.Events = append(c.Events, e)
		}
	}
	for _, id := range s.order {
		c.Processes = append(c.Processes, s.snapshot(id).Process)
	}
	return c, s.changed
}

// Processes returns all processes, in the order of the process file.
func (s *Store) Processes() []control.Process {
	c, _ := s.Changes(math.MaxInt64)
	return c.Processes
}

// Records returns all records, in the order of the process file, and the number of events so far.
func (s *Store) Records() (records []Record, events int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.order {
		records = append(records, s.snapshot(id))
	}
	return records, s.seq
}

// snapshot returns a copy of a record as it is shown. The caller holds s.mu.
func (s *Store) snapshot(id InstanceID) Record {
	r := *s.records[id]
	if r.Process.PID != 0 {
		r.Process.Uptime = int64(time.Since(r.Started).Seconds())
	}
	r.Process.Draining = slices.Clone(r.Process.Draining)
	return r
}

// FirstUnready returns the first instance of these processes that is not ready, and a channel that is closed at the next
// change. Where all are ready, the name is "" and the state Ready. An unknown process is Stopped.
func (s *Store) FirstUnready(names []string) (control.Process, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		found := false
		for _, id := range s.order {
			if id.Name != name {
				continue
			}
			found = true
			if r := s.records[id]; !r.Process.Ready {
				return r.Process, s.changed
			}
		}
		if !found {
			return control.Process{Name: name, Status: control.Stopped}, s.changed
		}
	}
	return control.Process{Status: control.Ready}, s.changed
}
