// Package processfile reads pgo's process file, the list of what runs. It is strict: whatever it does not know is an
// error that says where.
package processfile

import (
	"fmt"
	"time"
)

// Kinds of processes. They say what a process is to people and to pgo's defaults; order comes from After alone.
const (
	Infra   = "infra"
	Gate    = "gate"
	Service = "service"
)

// File is a process file that was read and found valid.
type File struct {
	Path      string    `json:"path"` // absolute
	Root      string    `json:"root"` // absolute; commands are relative to it and run in it
	Processes []Process `json:"processes"`
}

// Process is one entry of the file, with variables expanded and defaults filled in.
type Process struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`    // default Service
	Command   string            `json:"command"` // absolute, or a bare name to be found in PATH
	Args      []string          `json:"args,omitempty"`
	After     []string          `json:"after,omitempty"` // these are ready before it starts
	Listeners []Listener        `json:"listeners,omitempty"`
	Ready     Ready             `json:"ready"`
	Stop      Stop              `json:"stop"`
	Final     []int             `json:"final,omitempty"` // exit codes after which it is not started again
	Env       map[string]string `json:"env,omitempty"`   // the env file's values and, over them, its own
}

// Listener is a TCP listener that pgo opens and the process inherits under the name.
type Listener struct {
	Name string `json:"name"`
	Addr string `json:"addr"` // host:port; port 0 is a free one, chosen once
}

// Ready says how it is known that a process serves. With none of Notify, TCP and HTTP it is ready when
// it has run for a moment.
type Ready struct {
	Notify bool          `json:"notify,omitempty"` // it sends READY=1 to NOTIFY_SOCKET
	TCP    string        `json:"tcp,omitempty"`    // this address accepts a connection
	HTTP   string        `json:"http,omitempty"`   // this URL answers 2xx
	Within time.Duration `json:"within"`           // default 30 s; not ready by then is a failed start
}

// Stop says how a process is asked to end, and how long it has.
type Stop struct {
	Signal  string        `json:"signal"`  // default SIGTERM
	Timeout time.Duration `json:"timeout"` // default 15 s; then it is killed
}

// Error is what is wrong with a process file, and where. It prints as one line.
type Error struct {
	File string
	Line int    // 0 where there is none
	Key  string // as processes.user.ready; empty for the whole file
	Text string
}

func (e *Error) Error() string {
	where := e.File
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, e.Line)
	}
	if e.Key != "" {
		where += ": " + e.Key
	}
	return where + ": " + e.Text
}

func defaults(name string) Process {
	return Process{
		Name:  name,
		Kind:  Service,
		Ready: Ready{Within: 30 * time.Second},
		Stop:  Stop{Signal: "SIGTERM", Timeout: 15 * time.Second},
	}
}
