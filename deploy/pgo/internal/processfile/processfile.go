// Package processfile reads pgo's process file, the list of what runs. It is strict: whatever it does not know is an
// error that says where.
package processfile

import (
	"fmt"
	"time"
)

// Kinds of processes. They say what a process is to people and to pgo's defaults; order comes from After alone.
const (
	KindInfra   = "infra"
	KindGate    = "gate"
	KindService = "service"
	KindOneShot = "one-shot" // runs to its end once; ready when it has ended with 0
)

// Policies of starting a process again that ended by itself.
const (
	PolicyAlways    = "always"
	PolicyOnFailure = "on-failure" // not after exit code 0
	PolicyNever     = "never"
)

// Modes of a reload.
const (
	ReloadBeside  = "beside"  // the new process is ready before the old one is asked to end
	ReloadRestart = "restart" // stop, then start: a gap
	ReloadRefused = "refused"
)

// File is a process file that was read and found valid.
type File struct {
	Path      string    `json:"path"` // absolute
	Root      string    `json:"root"` // absolute; commands are relative to it and run in it
	HTTP      HTTP      `json:"http,omitzero"`
	Processes []Process `json:"processes"`
}

// Process is one entry of the file, with variables expanded and defaults filled in.
type Process struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`    // default Service
	Command   string            `json:"command"` // absolute, or a bare name to be found in PATH
	Args      []string          `json:"args,omitempty"`
	Dir       string            `json:"dir,omitempty"` // default the root
	User      string            `json:"user,omitempty"`
	Group     string            `json:"group,omitempty"`
	After     []string          `json:"after,omitempty"` // these are ready before it starts
	Listeners []Listener        `json:"listeners,omitempty"`
	Instances int               `json:"instances"` // default 1
	Readiness Readiness         `json:"ready"`
	Liveness  Liveness          `json:"live"`
	Watchdog  time.Duration     `json:"watchdog,omitempty"` // it says WATCHDOG=1 at least this often; 0: no such thing
	Restart   Restart           `json:"restart"`
	Stop      Stop              `json:"stop"`
	Reload    Reload            `json:"reload"`
	Watch     Watch             `json:"watch"`
	CheckArgs []string          `json:"ask,omitempty"`  // of a gate: its program, run with these, looks at a new program of who comes after it
	PlanArgs  []string          `json:"plan,omitempty"` // of a gate: its program, run with these, says what it would do for them
	Limits    Limits            `json:"limits"`
	Logs      Logs              `json:"logs"`
	Env       map[string]string `json:"env,omitempty"` // the env files' values and, over them, its own
}

// Listener is a TCP listener that pgo opens and the process inherits under the name.
type Listener struct {
	Name        string `json:"name"`
	Addr        string `json:"addr"`            // host:port; port 0 is a free one, chosen once
	PerInstance bool   `json:"alone,omitempty"` // each process has one of its own, opened when it starts
}

// Readiness says how it is known that a process serves. With none of Notify, TCP, HTTP and Exec it is ready when
// it has run for a moment.
type Readiness struct {
	Notify  bool          `json:"notify,omitempty"` // it sends READY=1 to NOTIFY_SOCKET
	TCP     string        `json:"tcp,omitempty"`    // this address accepts a connection
	HTTP    string        `json:"http,omitempty"`   // this URL answers 2xx
	Exec    []string      `json:"exec,omitempty"`   // this command ends with 0
	Timeout time.Duration `json:"within"`           // default 30 s; not ready by then is a failed start
}

// Liveness says how it is known that a ready process still serves; with none of TCP, HTTP and Exec nobody asks.
type Liveness struct {
	TCP      string        `json:"tcp,omitempty"`
	HTTP     string        `json:"http,omitempty"`
	Exec     []string      `json:"exec,omitempty"`
	Interval time.Duration `json:"every"`    // default 10 s
	Timeout  time.Duration `json:"timeout"`  // of one question; default 2 s
	Failures int           `json:"failures"` // in a row, after which it is started anew; default 3
}

// Restart says what happens when a process ends by itself.
type Restart struct {
	Policy         string        `json:"policy"`          // default Always
	FinalExitCodes []int         `json:"final,omitempty"` // exit codes after which it is not started again
	FirstWait      time.Duration `json:"first"`           // wait before the second start again, default 100 ms, then doubling; the first is at once
	LongestWait    time.Duration `json:"longest"`         // default 15 s
	ResetAfter     time.Duration `json:"proven"`          // up this long, the waits begin anew; default 30 s
	Limit          int           `json:"limit,omitempty"` // starts again within Window, after which it has failed; 0: none
	Window         time.Duration `json:"window"`          // default 1 m
}

// Stop says how a process is asked to end, and how long it has.
type Stop struct {
	Signal  string        `json:"signal"`  // default SIGTERM
	Timeout time.Duration `json:"timeout"` // default 15 s; then it is killed
}

// Reload says how a running process is replaced.
type Reload struct {
	Mode   string        `json:"mode"`   // default Beside for a service with listeners, else Refused
	Stable time.Duration `json:"stable"` // a new process runs so long after it is ready before the old one goes; default 200 ms
}

// Watch says that what is put in the place of Command is deployed: proven, copied, and the copy run.
type Watch struct {
	Enabled   bool          `json:"on,omitempty"`
	Probation time.Duration `json:"probation,omitempty"` // a new release proves itself so long; default 30 s
	Keep      int           `json:"keep,omitempty"`      // releases; default 5
	MaxSize   int64         `json:"max_size,omitempty"`  // and bytes of them; default 512 MB
	ErrorRate ErrorRate     `json:"errors,omitzero"`
}

// ErrorRate says where a process tells how many requests it has answered, and how: a release that answers too many of them
// with an error (a status of 5xx) while it is on probation does not stay.
type ErrorRate struct {
	Enabled     bool    `json:"on,omitempty"`
	Listener    string  `json:"listener,omitempty"` // that shows its metrics; default admin
	Path        string  `json:"path,omitempty"`     // default /metrics
	Metric      string  `json:"metric,omitempty"`   // the counter of requests; default that of OpenTelemetry's names
	Label       string  `json:"label,omitempty"`    // of it, the status
	MaxIncrease float64 `json:"above,omitempty"`    // the share that is too much, over that of the release before; default 0.05
	MinRequests int     `json:"least,omitempty"`    // requests, before which nothing is judged; default 20
}

// Limits are set before the program begins; nil leaves what pgo has.
type Limits struct {
	Files           *int  `json:"files,omitempty"`     // open files
	Processes       *int  `json:"processes,omitempty"` // of its user
	Core            *int  `json:"core,omitempty"`      // bytes of a core file
	Nice            *int  `json:"nice,omitempty"`
	OOMScoreAdj     *int  `json:"oom_score_adj,omitempty"`
	Memory          int64 `json:"memory,omitempty"` // resident bytes of its main process, above which it is made new; 0: any
	NoNewPrivileges bool  `json:"no_new_privileges,omitempty"`
}

// Logs says where output goes and how long it is kept.
type Logs struct {
	Split    bool          `json:"split,omitempty"`   // stderr has a file of its own
	MaxSize  int64         `json:"max_size"`          // a file that is larger is rotated; default 50 MB
	MaxAge   time.Duration `json:"max_age,omitempty"` // also one that is older; 0: not by age
	Keep     int           `json:"keep"`              // rotated files; default 5
	KeepFor  time.Duration `json:"keep_for"`          // default 14 days
	Compress bool          `json:"compress"`          // default true
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
		Name:      name,
		Kind:      KindService,
		Instances: 1,
		Readiness: Readiness{Timeout: 30 * time.Second},
		Liveness:  Liveness{Interval: 10 * time.Second, Timeout: 2 * time.Second, Failures: 3},
		Restart: Restart{
			Policy: PolicyAlways, FirstWait: 100 * time.Millisecond, LongestWait: 15 * time.Second, ResetAfter: 30 * time.Second, Window: time.Minute,
		},
		Stop:   Stop{Signal: "SIGTERM", Timeout: 15 * time.Second},
		Reload: Reload{Stable: 200 * time.Millisecond},
		Watch: Watch{Probation: 30 * time.Second, Keep: 5, MaxSize: 512 << 20, ErrorRate: ErrorRate{
			Listener: "admin", Path: "/metrics", MaxIncrease: 0.05, MinRequests: 20,
			Metric: "http_server_request_duration_seconds_count", Label: "http_response_status_code",
		}},
		Logs: Logs{MaxSize: 50 << 20, Keep: 5, KeepFor: 14 * 24 * time.Hour, Compress: true},
	}
}
