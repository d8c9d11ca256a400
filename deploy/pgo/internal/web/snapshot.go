// Package web is pgo's own HTTP server: metrics, service discovery for Prometheus, a proxy to the metrics of processes on
// private ports, and a read-only API of processes. It never controls anything: that is for the owner's unix socket alone.
package web

import (
	"strings"
	"time"

	"pgo/deploy/pgo/internal/control"
)

// Source supplies the data to serve; the manager implements it.
type Source interface {
	// Snapshot returns the current state. It reads resource usage only if measured is true.
	Snapshot(measured bool) Snapshot
	// Events returns the last n events, oldest first, including those of earlier managers.
	Events(n int) ([]control.Event, error)
}

// Snapshot is the state of everything at one moment.
type Snapshot struct {
	Info      control.Info
	Started   time.Time // start of this manager
	Managers  int64     // managers started on this home since pgo started
	Events    int64     // since pgo started
	Roles     []RoleUsage
	Processes []Process
	Groups    []Group
}

// RoleUsage is the resource usage of the keeper or the manager.
type RoleUsage struct {
	Name   string
	CPU    time.Duration
	Memory int64
}

// Process is the state of one instance.
type Process struct {
	Process       control.Process
	Started       time.Time     // of the running process
	Restarts      int64         // starts after it ended by itself, since pgo started
	WatchdogKills int64         // of those, after it missed its watchdog
	LivenessKills int64         // and after it failed its liveness probe
	CPU           time.Duration // used by the running process and its children
	Files         int           // open files; -1 if not permitted to know
	Limit         int64         // memory limit in bytes; 0: none
	CPUWarning    bool          // it uses nearly all processors
	MemoryWarning bool          // it uses nearly all of its memory limit
}

// Group is the state that all instances of a name share.
type Group struct {
	Name    string
	Reloads *ReloadCounters // nil if it cannot be reloaded
	Deploys *DeployCounters // nil if it is not watched
	Dropped Dropped
}

// Dropped counts the log output that could not be written since this manager started.
type Dropped struct{ Lines, Bytes int64 }

// Results of a reload.
const (
	ResultDone       = "done"        // the new process serves
	ResultFailed     = "failed"      // the new process was discarded; the old one serves
	ResultRefused    = "refused"     // the program was rejected before its start
	ResultRolledBack = "rolled_back" // the new process failed probation; the previous program serves again
)

var reloadResults = []string{ResultDone, ResultFailed, ResultRefused, ResultRolledBack}

// ReloadBuckets are the bounds of reload durations in seconds. A last bucket without a bound follows them.
var ReloadBuckets = [...]float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// ReloadCounters counts the reloads of a name since pgo started.
type ReloadCounters struct {
	Results   map[string]int64              `json:"results"`
	Durations [len(ReloadBuckets) + 1]int64 `json:"took"` // of successful reloads, by bucket
	Seconds   float64                       `json:"seconds"`
}

// Count adds one reload.
func (r *ReloadCounters) Count(result string) {
	if r.Results == nil {
		r.Results = map[string]int64{}
	}
	r.Results[result]++
}

// Observe adds the duration of one successful reload.
func (r *ReloadCounters) Observe(took time.Duration) {
	i := 0
	for i < len(ReloadBuckets) && took.Seconds() > ReloadBuckets[i] {
		i++
	}
	r.Durations[i]++
	r.Seconds += took.Seconds()
}

// ResultTaken is the result of an accepted deploy; the others are ResultRolledBack and ResultRefused.
const ResultTaken = "taken"

// Reasons of refused and rolled back deploys. The kinds of package release are reasons too, with _ for spaces.
const (
	ReasonCheck        = "check"     // the answer to `version --json` or `check`
	ReasonGate         = "gate"      // the gate's answer
	ReasonNotReady     = "not_ready" // its process ended, or was not ready in time
	ReasonFailedBefore = "found_bad" // the release failed before
	ReasonOther        = "other"     // a full disk, a file that cannot be read
	ReasonExited       = "ends"      // its processes ended
	ReasonErrors       = "errors"    // it answered too many requests with errors
)

// Outcome is the outcome of one deploy.
type Outcome struct{ Result, Reason string }

// MarshalText encodes the outcome as a JSON key.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.Result + "/" + o.Reason), nil }

// UnmarshalText decodes the form of MarshalText.
func (o *Outcome) UnmarshalText(text []byte) error {
	o.Result, o.Reason, _ = strings.Cut(string(text), "/")
	return nil
}

// deployOutcomes lists all possible outcomes.
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

// DeployCounters counts the deploys of a name since pgo started.
type DeployCounters struct {
	Counts       map[Outcome]int64 `json:"counts"`
	LastDuration time.Duration     `json:"took"` // of the last accepted deploy, from its detection
	LastAt       time.Time         `json:"at"`   // when it became current
}

// Count adds one deploy.
func (d *DeployCounters) Count(o Outcome) {
	if d.Counts == nil {
		d.Counts = map[Outcome]int64{}
	}
	d.Counts[o]++
}
