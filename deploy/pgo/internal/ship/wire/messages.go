package wire

import (
	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/release"
)

// What is asked for in one conversation.
const (
	OpDeploy   = "deploy"
	OpRollback = "rollback"
	OpReleases = "releases"
	OpOutcome  = "outcome" // of a conversation that was lost
)

// Hello is the first message of who deploys.
type Hello struct {
	Protocol  int    `json:"protocol"`
	Version   string `json:"version"` // of pgo
	Operation string `json:"ask"`     // Deploy, Rollback, Releases or Outcome
	ID        string `json:"id"`      // made by who asks; the audit log knows the conversation by it
	Claims    string `json:"claims"`  // who it says it is
	Wait      bool   `json:"wait"`    // for another deploy to end, rather than be refused
	DryRun    bool   `json:"dry_run"`
	Again     bool   `json:"again"`   // also what was found bad before
	Process   string `json:"process"` // of Rollback
	Release   string `json:"release"` // of Rollback
}

// Welcome is the host's answer.
type Welcome struct {
	Protocol  int               `json:"protocol"`
	Version   string            `json:"version"`
	OS        string            `json:"os"`
	Arch      string            `json:"arch"`
	By        string            `json:"by"` // who the host takes the other for
	Processes []Process         `json:"processes"`
	Releases  []release.Release `json:"releases,omitempty"` // of Releases
	Deploys   []audit.Entry     `json:"deploys,omitempty"`  // of Releases: the last ones; of Outcome the one
}

// Process is one that can be deployed.
type Process struct {
	Name     string   `json:"name"`
	File     string   `json:"file"` // its name in the deploy folder
	Current  string   `json:"live"` // SHA-256 of what runs; empty before the first
	Releases []string `json:"has"`  // releases that the host has, the live one first
}

// Plan is what is to be deployed.
type Plan struct {
	Set []Program `json:"set"`
}

// Program is one file of it.
type Program struct {
	Process string `json:"process"`
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
	Sent    bool   `json:"sent"` // its content follows; else the host has it
	Base    string `json:"base"` // what it is sent as the difference to; empty: to nothing
}

// Report is a message of the host while it works. Exactly one with a Result ends a deploy or a rollback; the first that
// is not a wait, and not an end, has a Welcome.
type Report struct {
	Welcome *Welcome     `json:"welcome,omitempty"`
	Process string       `json:"process,omitempty"`
	Step    string       `json:"step,omitempty"` // waits, stored, checked, gate, plan, runs, log, probation, good, back; locked, unavailable with a Result
	Text    string       `json:"text,omitempty"`
	Seconds float64      `json:"seconds,omitempty"`
	Result  *audit.Entry `json:"result,omitempty"` // how it ended
}
