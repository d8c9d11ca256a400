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
	// Snapshot returns how things stand. What processes use is only looked at when measured is asked for.
	Snapshot(measured bool) Snapshot
	// Events returns the last n events, oldest first, also those that were before this manager.
	Events(n int) ([]control.Event, error)
}

// Snapshot are one look at everything.
type Snapshot struct {
	Info      control.Info
	Started   time.Time // this manager
	Managers  int64     // that were started on this home, since pgo was
	Events    int64     // since pgo was started
	Roles     []RoleUsage
	Processes []Process
	Groups    []Group
}

// RoleUsage is what keeper or manager uses.
type RoleUsage struct {
	Name   string
	CPU    time.Duration
	Memory int64
}

// Process is one instance.
type Process struct {
	Process       control.Process
	Started       time.Time     // of the running process
	Restarts      int64         // starts after it ended by itself, since pgo was started
	CPU           time.Duration // used by the running process and what it has started
	Files         int           // that it has open; -1 where pgo may not know
	Limit         int64         // of its memory; 0: none
	CPUWarning    bool          // it was warned that it uses nearly all processors
	MemoryWarning bool          // it was warned that it has nearly all memory that it may
}

// Group is what all instances of a name have together.
type Group struct {
	Name    string
	Reloads *ReloadCounters // nil where none are possible
	Deploys *DeployCounters // nil where it is not watched
	Dropped Dropped
}

// Dropped is what could not be written to a log, since this manager was started.
type Dropped struct{ Lines, Bytes int64 }

// How a reload ends.
const (
	ResultDone       = "done"        // the new process serves
	ResultFailed     = "failed"      // the new one was thrown away; the old one serves
	ResultRefused    = "refused"     // the program was not one to be started
	ResultRolledBack = "rolled_back" // the new one served, not well enough, and the program from before serves again
)

var reloadResults = []string{ResultDone, ResultFailed, ResultRefused, ResultRolledBack}

// ReloadBuckets are the bounds of reload times in seconds. A last bucket without bound follows them.
var ReloadBuckets = [...]float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// ReloadCounters count the reloads of a name, since pgo was started.
type ReloadCounters struct {
	Results   map[string]int64              `json:"results"`
	Durations [len(ReloadBuckets) + 1]int64 `json:"took"` // of those that were done, by bucket
	Seconds   float64                       `json:"seconds"`
}

// Count adds one that has ended.
func (r *ReloadCounters) Count(result string) {
	if r.Results == nil {
		r.Results = map[string]int64{}
	}
	r.Results[result]++
}

// Observe adds the time of one that is done.
func (r *ReloadCounters) Observe(took time.Duration) {
	i := 0
	for i < len(ReloadBuckets) && took.Seconds() > ReloadBuckets[i] {
		i++
	}
	r.Durations[i]++
	r.Seconds += took.Seconds()
}

// ResultTaken is what becomes of what is deployed, beside ResultRolledBack and Refused.
const ResultTaken = "taken"

// Why something deployed is refused, beside the kinds of package release with _ for spaces; and why it is left again.
const (
	ReasonCheck        = "check"     // what it answers to `version --json` or `check`
	ReasonGate         = "gate"      //
	ReasonNotReady     = "not_ready" // its process ended, or was not ready in time
	ReasonFailedBefore = "found_bad" // before
	ReasonOther        = "other"     // a full disk, a file that cannot be read
	ReasonExited       = "ends"      // its processes ended
	ReasonErrors       = "errors"    // it answered too many requests with errors
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

// deployOutcomes are all there can be.
var deployOutcomes = []Outcome{
	{ResultTaken, ""},
	{ResultRefused, "incomplete"},
	{ResultRefused, "mixed"},
	{ResultRefused, "wrong_architecture"},
	{ResultRefused, "not_executable"},
	{ResultRefused, "no_proof"},
	{ResultRefused, ReasonCheck},
	{ResultRefused, ReasonGate},
	{ResultRefused, ReasonNotReady},
	{ResultRefused, ReasonFailedBefore},
	{ResultRefused, ReasonOther},
	{ResultRolledBack, ReasonExited},
	{ResultRolledBack, ReasonErrors},
}

// DeployCounters count what became of what was deployed for a name, since pgo was started.
type DeployCounters struct {
	Counts       map[Outcome]int64 `json:"counts"`
	LastDuration time.Duration     `json:"took"` // the last one that was taken, from when it was taken up
	LastAt       time.Time         `json:"at"`   // when that was
}

// Count adds one.
func (d *DeployCounters) Count(o Outcome) {
	if d.Counts == nil {
		d.Counts = map[Outcome]int64{}
	}
	d.Counts[o]++
}
