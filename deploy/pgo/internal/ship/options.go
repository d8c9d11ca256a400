package ship

import (
	"errors"
	"io"
	"time"

	"pgo/deploy/pgo/internal/audit"
)

// Options configures a deploy or a rollback.
type Options struct {
	SSH      string   // the command that reaches a host, with its arguments
	Remote   string   // the command to run there
	From     string   // directory of the programs, as NAME or linux-amd64/NAME; default dist, then bin
	Services []string // names of processes; default all that can be deployed to the host
	Claims   string   // name of the user, for the audit log
	Wait     bool
	DryRun   bool
	Again    bool
	Version  string // of pgo
	Process  string // to roll back; default all of the last deploy
	Release  string // to roll back to; default the previous one
	Cache    Cache
	Stderr   io.Writer // gets what ssh prints
	Report   func(Event)
}

// Event reports a step of a deploy.
type Event struct {
	Time    time.Time    `json:"ts"`
	Host    string       `json:"host"`
	ID      string       `json:"id,omitempty"`
	Event   string       `json:"event"` // host, waits, sent, unchanged, stored, checked, gate, plan, runs, log, probation, good, back, lost, result
	Process string       `json:"process,omitempty"`
	Text    string       `json:"text,omitempty"`
	Seconds float64      `json:"seconds,omitempty"`
	Bytes   int64        `json:"bytes,omitempty"` // that were sent for a program
	Size    int64        `json:"size,omitempty"`  // of the program
	Result  *audit.Entry `json:"result,omitempty"`
	DryRun  bool         `json:"dry_run,omitempty"`
	Sent    int64        `json:"bytes_sent,omitempty"` // in the whole session, before encryption
}

// Errors of a deploy or a rollback.
var (
	ErrRefused       = errors.New("refused: no running process was touched")
	ErrLocked        = errors.New("refused: another deploy is under way")
	ErrUnavailable   = errors.New("pgo does not run on the host")
	ErrRolledBack    = errors.New("failed and rolled back")
	ErrNotRolledBack = errors.New("failed, and not all could be rolled back")
	ErrUnknown       = errors.New("the connection was lost, and the result of the deploy is unknown: pgo releases --to shows it")
)
