// Package web is pgo's own HTTP: metrics, service discovery for Prometheus, the metrics of processes that listen where
// nobody knows, and what is known of processes. It only ever answers: control is the unix socket of the owner alone.
package web

import (
	"strings"
	"time"

	"pgo/deploy/pgo/internal/control"
)

// Source is what there is to tell; the manager has it.
type Source interface {
	// Facts returns how things stand. What processes use is only looked at when measured is asked for.
	Facts(measured bool) Facts
	// Events returns the last n events, oldest first, also those that were before this manager.
	Events(n int) ([]control.Event, error)
}

// Facts are one look at everything.
type Facts struct {
	Info      control.Info
	Started   time.Time // this manager
	Managers  int64     // that were started on this home, since pgo was
	Events    int64     // since pgo was started
	Halves    []Half
	Processes []Process
	Names     []Name
}

// Half is what keeper or manager uses.
type Half struct {
	Name   string
	CPU    time.Duration
	Memory int64
}

// Process is one instance.
type Process struct {
	Process  control.Process
	Started  time.Time     // of the running process
	Restarts int64         // starts after it ended by itself, since pgo was started
	CPU      time.Duration // used by the running process and what it has started
	Files    int           // that it has open; -1 where pgo may not know
	Limit    int64         // of its memory; 0: none
	Hot      bool          // it was warned that it uses nearly all processors
	Large    bool          // it was warned that it has nearly all memory that it may
}

// Name is what all instances of a name have together.
type Name struct {
	Name    string
	Reloads *Reloads // nil where none are possible
	Deploys *Deploys // nil where it is not watched
	Dropped Dropped
}

// Dropped is what could not be written to a log, since this manager was started.
type Dropped struct{ Lines, Bytes int64 }

// How a reload ends.
const (
	Done       = "done"        // the new process serves
	Failed     = "failed"      // the new one was thrown away; the old one serves
	Refused    = "refused"     // the program was not one to be started
	RolledBack = "rolled_back" // the new one served, not well enough, and the program from before serves again
)

var results = []string{Done, Failed, Refused, RolledBack}

// Buckets are the bounds of reload times in seconds. A last bucket without bound follows them.
var Buckets = [...]float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// Reloads count the reloads of a name, since pgo was started.
type Reloads struct {
	Results map[string]int64        `json:"results"`
	Took    [len(Buckets) + 1]int64 `json:"took"` // of those that were done, by bucket
	Seconds float64                 `json:"seconds"`
}

// Count adds one that has ended.
func (r *Reloads) Count(result string) {
	if r.Results == nil {
		r.Results = map[string]int64{}
	}
	r.Results[result]++
}

// Observe adds the time of one that is done.
func (r *Reloads) Observe(took time.Duration) {
	i := 0
	for i < len(Buckets) && took.Seconds() > Buckets[i] {
		i++
	}
	r.Took[i]++
	r.Seconds += took.Seconds()
}

// Taken is what becomes of what is deployed, beside RolledBack and Refused.
const Taken = "taken"

// Why something deployed is refused, beside the kinds of package release with _ for spaces; and why it is left again.
const (
	ByCheck    = "check"     // what it answers to `version --json` or `check`
	ByGate     = "gate"      //
	ByNotReady = "not_ready" // its process ended, or was not ready in time
	ByBad      = "found_bad" // before
	ByOther    = "other"     // a full disk, a file that cannot be read
	ByEnds     = "ends"      // its processes ended
	ByErrors   = "errors"    // it answered too many requests with errors
)

// Outcome is what became of something deployed.
type Outcome struct{ Result, Reason string }

// MarshalText makes it a key of JSON.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.Result + "/" + o.Reason), nil }

// UnmarshalText is the reverse.
func (o *Outcome) UnmarshalText(text []byte) error {
	o.Result, o.Reason, _ = strings.Cut(string(text), "/")
	return nil
}

// outcomes are all there can be.
var outcomes = []Outcome{
	{Taken, ""},
	{Refused, "incomplete"},
	{Refused, "mixed"},
	{Refused, "wrong_architecture"},
	{Refused, "not_executable"},
	{Refused, "no_proof"},
	{Refused, ByCheck},
	{Refused, ByGate},
	{Refused, ByNotReady},
	{Refused, ByBad},
	{Refused, ByOther},
	{RolledBack, ByEnds},
	{RolledBack, ByErrors},
}

// Deploys count what became of what was deployed for a name, since pgo was started.
type Deploys struct {
	Counts map[Outcome]int64 `json:"counts"`
	Took   time.Duration     `json:"took"` // the last one that was taken, from when it was taken up
	At     time.Time         `json:"at"`   // when that was
}

// Count adds one.
func (d *Deploys) Count(o Outcome) {
	if d.Counts == nil {
		d.Counts = map[Outcome]int64{}
	}
	d.Counts[o]++
}
