// Package control is how commands and the manager speak: HTTP and JSON over a unix socket that only its owner opens.
package control

import (
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/processfile"
)

// State is where a process stands. docs/pgo.md has the table.
type State string

// The states. Every process is in one of them; the manager's record is the one place where it changes.
const (
	Waiting    State = "waiting"     // for the processes it comes after
	Starting   State = "starting"    // it runs and is not ready yet
	Ready      State = "ready"       // it runs and serves
	Reloading  State = "reloading"   // it serves while its successor starts
	Draining   State = "draining"    // replaced: it finishes what it holds. Only in events; who is ready has the row
	Stopping   State = "stopping"    // it was asked to end, or says that it is ending
	Stopped    State = "stopped"     // it does not run and nobody wants it to
	BackingOff State = "backing-off" // it ended by itself; a new start follows
	Failed     State = "failed"      // it ended for good; it takes a command to start it again
)

// ReasonAskedToStart is the reason of the state that every start by command begins with.
const ReasonAskedToStart = "asked to start"

// Process is what is known of a process.
type Process struct {
	Name          string            `json:"name"`
	Instance      int               `json:"instance"`
	Kind          string            `json:"kind"`
	PID           int               `json:"pid"` // 0 while it does not run
	Status        State             `json:"status"`
	Ready         bool              `json:"ready"`
	Restarts      int               `json:"restarts"`      // starts after it ended by itself, since it was last started by command
	Uptime        int64             `json:"uptime_s"`      // of the running process
	CPU           float64           `json:"cpu_percent"`   // of one core, since someone looked before; its children included
	Memory        int64             `json:"memory_bytes"`  // resident, its children included
	Version       string            `json:"version"`       // what it says about itself; empty where it says nothing
	Reason        string            `json:"reason"`        // why it is in this state
	Message       string            `json:"message"`       // its own last word about itself (STATUS=)
	Listeners     map[string]string `json:"listeners"`     // name to address, with the ports that were chosen
	After         []string          `json:"after"`         //
	Failures      int               `json:"failed_starts"` // in a row, none of which became ready
	LogOffset     int64             `json:"log_offset"`    // where the output of its last start begins in its log file
	Since         time.Time         `json:"since"`         // of this state
	Draining      []int             `json:"draining"`      // processes that were replaced and finish what they hold
	ReloadPending bool              `json:"reload_asked"`  // and not through yet
	ReloadFailure string            `json:"reload_failed"` // why the last reload failed; the process from before it serves
	LastLines     []string          `json:"last_words"`    // of the process that was to take over then
	Instances     int               `json:"instances"`     // how many there are of this name
	Release       string            `json:"release"`       // SHA-256 of the program that runs; empty where it is not watched
	DeployFailure string            `json:"deploy_failed"` // why what was deployed last is not what runs
}

// Event is one change of state, or of what a process says about itself.
type Event struct {
	Seq      int64     `json:"seq"` // grows with every change
	Time     time.Time `json:"ts"`
	Process  string    `json:"process"`
	Instance int       `json:"instance"`
	PID      int       `json:"pid"`
	From     State     `json:"from"`
	To       State     `json:"to"`
	Reason   string    `json:"reason"`
}

// Changes is one consistent look at everything.
type Changes struct {
	Seq       int64     `json:"seq"`    // of the last change
	Events    []Event   `json:"events"` // those after the one asked for, as far as they are kept
	Processes []Process `json:"processes"`
}

// Info is about pgo itself.
type Info struct {
	Version        string `json:"version"`
	ManagerPID     int    `json:"manager_pid"` // 0 while none runs
	KeeperPID      int    `json:"keeper_pid"`
	Home           string `json:"home"`
	Socket         string `json:"socket"`
	HTTP           string `json:"http"`                     // address of pgo's own; empty while it is off
	File           string `json:"process_file"`             // applied last; empty before
	UpgradeFailure string `json:"upgrade_failed,omitempty"` // why the manager that was to take over did not
}

type (
	// NamesRequest asks for something about processes.
	NamesRequest struct {
		Names []string `json:"names"`
	}
	// ApplyRequest asks for a process file to be made real.
	ApplyRequest struct {
		File processfile.File `json:"file"`
	}
	// ScaleRequest asks for another number of instances, until the process file is applied again.
	ScaleRequest struct {
		Name      string `json:"name"`
		Instances int    `json:"instances"`
	}
	// SignalRequest asks for a signal to be sent.
	SignalRequest struct {
		Names  []string `json:"names"`
		Signal string   `json:"signal"`
	}
	// UpgradeRequest asks for the manager to be started anew from this program.
	UpgradeRequest struct {
		Program string `json:"program"`
	}
	// RollbackRequest asks for another release: the good one before where none is named, of the process that was deployed last
	// where no name is given.
	RollbackRequest struct {
		Name    string `json:"name"`
		Release string `json:"release"`
	}
	// RolloutRequest asks for releases of the store to be run, all of them or none: see manager.Rollout.
	RolloutRequest struct {
		Entry       audit.Entry `json:"entry"`   // who asks and since when; of the set the processes, and the releases to run
		Since       time.Time   `json:"since"`   // when it was begun
		Process     string      `json:"process"` // of a rollback: which one; where none is named all of the last deploy
		Release     string      `json:"release"` // and which release; where none is named the one from before
		AllowFailed bool        `json:"again"`   // also what was found bad before
		CheckOnly   bool        `json:"check"`   // only look: ask the programs, and the gates what they would do
	}
	// Progress is a line of the answer to a Rollout. The last one has the result.
	Progress struct {
		Process string       `json:"process,omitempty"`
		Step    string       `json:"step,omitempty"`
		Text    string       `json:"text,omitempty"`
		Seconds float64      `json:"seconds,omitempty"`
		Result  *audit.Entry `json:"result,omitempty"`
	}
	// Deployable is a process that can be deployed.
	Deployable struct {
		Name     string        `json:"name"`
		File     string        `json:"file"` // where its program is deployed to
		Current  audit.Release `json:"live"`
		Releases []string      `json:"has"` // SHA-256 of the releases in the store, the live one first
		After    []string      `json:"after"`
	}
	// Description is all that is known of a process, secrets masked.
	Description struct {
		Rows []Process           `json:"instances"`
		Spec processfile.Process `json:"spec"`
	}
	// Plan is what applying a process file would do.
	Plan struct {
		Steps []Step `json:"steps"`
	}
	// Step is what would be done with one process.
	Step struct {
		Process string `json:"process"`
		Action  string `json:"do"` // start, stop, restart, reload, scale; http for pgo's own
		Reason  string `json:"why"`
	}
	// Failure is the body of every answer that is not 200.
	Failure struct {
		Error string `json:"error"`
	}
)
