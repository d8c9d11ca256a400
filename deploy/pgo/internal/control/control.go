// Package control defines the API between commands and the manager: HTTP and JSON over a unix socket that only its owner
// can open. It holds the types and the client.
package control

import (
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/processfile"
)

// State is the state of a process. docs/pgo.md has the table of transitions.
type State string

// The states of a process. Only the manager's record changes them.
const (
	Waiting    State = "waiting"     // for the processes it starts after
	Starting   State = "starting"    // it runs and is not ready yet
	Ready      State = "ready"       // it runs and serves
	Reloading  State = "reloading"   // it serves while its replacement starts
	Draining   State = "draining"    // replaced: it finishes its requests. Only in events; the ready process has the row
	Stopping   State = "stopping"    // it was asked to end, or announced that it is ending
	Stopped    State = "stopped"     // it does not run and is not meant to
	BackingOff State = "backing-off" // it ended by itself; a restart follows
	Failed     State = "failed"      // it ended for good; only a command starts it again
)

// ReasonAskedToStart is the first state's reason of every start by command.
const ReasonAskedToStart = "asked to start"

// Process describes one instance of a process.
type Process struct {
	Name          string            `json:"name"`
	Instance      int               `json:"instance"`
	Kind          string            `json:"kind"`
	PID           int               `json:"pid"` // 0 while it does not run
	Status        State             `json:"status"`
	Ready         bool              `json:"ready"`
	Restarts      int               `json:"restarts"`      // starts after it ended by itself, since the last start by command
	Uptime        int64             `json:"uptime_s"`      // of the running process
	CPU           float64           `json:"cpu_percent"`   // of one core, since the previous reading; its children included
	Memory        int64             `json:"memory_bytes"`  // resident, its children included
	Version       string            `json:"version"`       // as the process reports it; empty if it reports none
	Reason        string            `json:"reason"`        // why it is in this state
	Message       string            `json:"message"`       // the process's own status message (STATUS=)
	Listeners     map[string]string `json:"listeners"`     // name to address, with the ports that were chosen
	After         []string          `json:"after"`         // processes that must be ready first
	Failures      int               `json:"failed_starts"` // in a row, none of which became ready
	LogOffset     int64             `json:"log_offset"`    // start of the latest run's output in its log file
	Since         time.Time         `json:"since"`         // of this state
	Draining      []int             `json:"draining"`      // PIDs of replaced processes that finish their requests
	ReloadPending bool              `json:"reload_asked"`  // requested and not finished
	ReloadFailure string            `json:"reload_failed"` // why the last reload failed; the previous process still serves
	LastLines     []string          `json:"last_words"`    // log tail of the process that failed to take over
	Instances     int               `json:"instances"`     // number of instances of this name
	Release       string            `json:"release"`       // SHA-256 of the running program; empty if it is not watched
	DeployFailure string            `json:"deploy_failed"` // why the latest deployed file is not the running one
}

// Event is one change of a process's state or of its status message.
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

// Changes is a consistent snapshot of all processes, with the events since an earlier one.
type Changes struct {
	Seq       int64     `json:"seq"`    // of the latest change
	Events    []Event   `json:"events"` // after the requested number, as far as they are kept
	Processes []Process `json:"processes"`
}

// Info describes pgo itself.
type Info struct {
	Version        string `json:"version"`
	ManagerPID     int    `json:"manager_pid"` // 0 while none runs
	KeeperPID      int    `json:"keeper_pid"`
	Home           string `json:"home"`
	Socket         string `json:"socket"`
	HTTP           string `json:"http"`                     // address of pgo's own HTTP server; empty while it is off
	File           string `json:"process_file"`             // applied last; empty before the first
	UpgradeFailure string `json:"upgrade_failed,omitempty"` // why the new manager did not take over
}

type (
	// NamesRequest names the processes that a command applies to.
	NamesRequest struct {
		Names []string `json:"names"`
	}
	// ApplyRequest asks the manager to apply a process file.
	ApplyRequest struct {
		File processfile.File `json:"file"`
	}
	// AddRequest asks the manager to run a process that no process file has.
	AddRequest struct {
		Process processfile.Process `json:"process"`
	}
	// ScaleRequest sets the number of instances until the process file is applied again.
	ScaleRequest struct {
		Name      string `json:"name"`
		Instances int    `json:"instances"`
	}
	// SignalRequest asks the manager to send a signal.
	SignalRequest struct {
		Names  []string `json:"names"`
		Signal string   `json:"signal"`
	}
	// UpgradeRequest asks for a new manager from this program.
	UpgradeRequest struct {
		Program string `json:"program"`
	}
	// RollbackRequest selects a release to roll back to. Without a release it is the previous good one; without a name it
	// is the process that was deployed last.
	RollbackRequest struct {
		Name    string `json:"name"`
		Release string `json:"release"`
	}
	// RolloutRequest asks the manager to run releases of the store, all of them or none: see manager.Rollout.
	RolloutRequest struct {
		Entry       audit.Entry `json:"entry"`   // the requester, the start time and, per process, the release to run
		Since       time.Time   `json:"since"`   // when the request started
		Process     string      `json:"process"` // rollback only: the process; empty for all of the last deploy
		Release     string      `json:"release"` // rollback only: the release; empty for the previous one
		AllowFailed bool        `json:"again"`   // also releases that failed before
		CheckOnly   bool        `json:"check"`   // run only the checks of the programs and the gates
	}
	// Progress is one line of the answer to a RolloutRequest. The last one holds the result.
	Progress struct {
		Process string       `json:"process,omitempty"`
		Step    string       `json:"step,omitempty"`
		Text    string       `json:"text,omitempty"`
		Seconds float64      `json:"seconds,omitempty"`
		Result  *audit.Entry `json:"result,omitempty"`
	}
	// Deployable describes a process that can be deployed.
	Deployable struct {
		Name     string        `json:"name"`
		File     string        `json:"file"` // where its program is deployed to
		Current  audit.Release `json:"live"`
		Releases []string      `json:"has"` // SHA-256 of the stored releases, the current one first
		After    []string      `json:"after"`
	}
	// Description holds everything known of a process. Secrets are masked unless the request asks for them.
	Description struct {
		Rows []Process           `json:"instances"`
		Spec processfile.Process `json:"spec"`
	}
	// Plan lists the steps that applying a process file would take.
	Plan struct {
		Steps []Step `json:"steps"`
	}
	// Step is one planned change of one process.
	Step struct {
		Process string `json:"process"`
		Action  string `json:"do"` // start, stop, restart, reload, scale; http for pgo's own server
		Reason  string `json:"why"`
	}
	// Failure is the body of every answer whose status is not 200.
	Failure struct {
		Error string `json:"error"`
	}
)
