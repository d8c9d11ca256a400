package wire

import (
	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/release"
)

// Operations, one of which a session asks for.
const (
	OpDeploy   = "deploy"
	OpRollback = "rollback"
	OpReleases = "releases"
	OpOutcome  = "outcome" // of a deploy whose session was lost
)

// Hello is the first message of the client.
type Hello struct {
	Protocol  int    `json:"protocol"`
	Version   string `json:"version"` // of pgo
	Operation string `json:"ask"`     // one of the Op constants
	ID        string `json:"id"`      // chosen by the client; identifies the deploy in the audit log
	Claims    string `json:"claims"`  // name of the user, which the host cannot verify
	Wait      bool   `json:"wait"`    // for another deploy to end, rather than be refused
	DryRun    bool   `json:"dry_run"`
	Again     bool   `json:"again"`   // also deploy releases that were found bad before
	Process   string `json:"process"` // of OpRollback: the process to roll back; empty: all of the last deploy
	Release   string `json:"release"` // of OpRollback: the release to roll back to; empty: the previous one
}

// Welcome is the host's answer.
type Welcome struct {
	Protocol  int               `json:"protocol"`
	Version   string            `json:"version"`
	OS        string            `json:"os"`
	Arch      string            `json:"arch"`
	By        string            `json:"by"` // the user for whom the host takes the client
	Processes []Process         `json:"processes"`
	Releases  []release.Release `json:"releases,omitempty"` // of OpReleases
	Deploys   []audit.Entry     `json:"deploys,omitempty"`  // of OpReleases the last ones; of OpOutcome that one, if it is known
}

// Process is a process that can be deployed.
type Process struct {
	Name     string   `json:"name"`
	File     string   `json:"file"` // name of its file in the deploy directory
	Current  string   `json:"live"` // SHA-256 of the release that runs; empty before the first
	Releases []string `json:"has"`  // SHA-256 of the releases that the host has, the current one first
}

// Plan lists the programs to deploy.
type Plan struct {
	Set []Program `json:"set"`
}

// Program is one file of a Plan.
type Program struct {
	Process string `json:"process"`
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
	Sent    bool   `json:"sent"` // its content follows; else the host has it
	Base    string `json:"base"` // SHA-256 of the release that its content is the difference to; empty: it is whole
}

// Report is a message of the host. Exactly one with a Result ends a deploy or a rollback. The first that neither has a
// Result nor is of the step waits has a Welcome.
type Report struct {
	Welcome *Welcome     `json:"welcome,omitempty"`
	Process string       `json:"process,omitempty"`
	Step    string       `json:"step,omitempty"` // waits, stored, checked, gate, plan, runs, log, probation, good, back; locked, unavailable with a Result
	Text    string       `json:"text,omitempty"`
	Seconds float64      `json:"seconds,omitempty"`
	Result  *audit.Entry `json:"result,omitempty"` // of the deploy or rollback
}
