package processfile

import (
	"fmt"
	"strings"
	"time"
)

// Listener is a TCP listener that pgo opens and the process inherits under the name.
type Listener struct {
	Name        string `json:"name" yaml:"-"`
	Addr        string `json:"addr" yaml:"addr" decode:"short" jsonschema:"required,format=address" jsonschema_description:"IP:port; port 0 is a free one, chosen once."`
	PerInstance bool   `json:"alone,omitempty" yaml:"shared" decode:"inverted" jsonschema_description:"Default true. false: each instance has a listener of its own, on a free port, opened when it starts."`
}

func (l *Listener) setName(name string) error {
	l.Name = name
	if !namePattern.MatchString(name) {
		return &keyError{text: "expected a name of a-z, 0-9, - and _"}
	}
	return nil
}

// Validate checks the port of a listener that is not shared.
func (l *Listener) Validate(Keys) error {
	if l.PerInstance && !strings.HasSuffix(l.Addr, ":0") {
		return &keyError{text: "what is not shared needs a free port for each process: port 0"}
	}
	return nil
}

// HTTP configures pgo's own HTTP server, through which nothing is controlled.
type HTTP struct {
	Addr     string   `json:"addr" yaml:"addr" decode:"short" jsonschema:"format=optional-address" jsonschema_description:"IP:port; port 0 is a free one. Empty: no server."`
	Hosts    []string `json:"hosts,omitempty" yaml:"hosts" jsonschema:"format=host-name" jsonschema_description:"Names it is reached by, besides localhost and IP addresses; others are refused."`
	PM2Names bool     `json:"pm2,omitempty" yaml:"pm2_names" jsonschema_description:"Also serve metrics with the names of pm2-prom-module: default false."`
}

// Defaults sets the values of keys that the file does not have.
func (h *HTTP) Defaults() { h.Addr = "127.0.0.1:9900" }

// Listener returns the server's listener in the form of a process's.
func (h HTTP) Listener() Listener { return Listener{Name: "http", Addr: h.Addr} }

// Readiness defines when a process counts as ready. Without Notify, TCP, HTTP and Exec it is ready once it has run for a
// moment.
type Readiness struct {
	Notify  bool          `json:"notify,omitempty" yaml:"notify" jsonschema_description:"It sends READY=1 to NOTIFY_SOCKET."`
	TCP     string        `json:"tcp,omitempty" yaml:"tcp" jsonschema:"format=peer-address" jsonschema_description:"This address accepts a connection."`
	HTTP    string        `json:"http,omitempty" yaml:"http" jsonschema:"format=http-url" jsonschema_description:"This URL answers 2xx."`
	Exec    []string      `json:"exec,omitempty" yaml:"exec" jsonschema:"minItems=1" jsonschema_description:"This command, run like the process, ends with 0. Its program is found as that of command."`
	Timeout time.Duration `json:"within" yaml:"within" jsonschema:"type=string,format=timespan" jsonschema_description:"A process that is not ready by then has failed to start: default 30s."`
}

// Defaults sets the values of keys that the file does not have.
func (r *Readiness) Defaults() { r.Timeout = 30 * time.Second }

// Validate checks that at most one probe is given.
func (r *Readiness) Validate(given Keys) error {
	_, err := countProbes(given, "notify, tcp, http and exec", "notify", "tcp", "http", "exec")
	return err
}

// Liveness defines the probe of a ready process. Without TCP, HTTP and Exec there is none.
type Liveness struct {
	TCP      string        `json:"tcp,omitempty" yaml:"tcp" jsonschema:"format=peer-address" jsonschema_description:"This address accepts a connection."`
	HTTP     string        `json:"http,omitempty" yaml:"http" jsonschema:"format=http-url" jsonschema_description:"This URL answers 2xx."`
	Exec     []string      `json:"exec,omitempty" yaml:"exec" jsonschema:"minItems=1" jsonschema_description:"This command, run like the process, ends with 0. Its program is found as that of command."`
	Interval time.Duration `json:"every" yaml:"every" jsonschema:"type=string,format=timespan" jsonschema_description:"Time between two probes: default 10s."`
	Timeout  time.Duration `json:"timeout" yaml:"timeout" jsonschema:"type=string,format=timespan" jsonschema_description:"Of one probe: default 2s."`
	Failures int           `json:"failures" yaml:"failures" jsonschema:"minimum=1,maximum=100" jsonschema_description:"Failed probes in a row after which it is restarted: default 3."`
}

// Defaults sets the values of keys that the file does not have.
func (l *Liveness) Defaults() { l.Interval, l.Timeout, l.Failures = 10*time.Second, 2*time.Second, 3 }

// Validate checks that exactly one probe is given.
func (l *Liveness) Validate(given Keys) error {
	n, err := countProbes(given, "tcp, http and exec", "tcp", "http", "exec")
	if err == nil && n == 0 {
		err = &keyError{text: "expected one of tcp, http and exec"}
	}
	return err
}

// countProbes returns how many of the keys are given, and an error if that is more than one.
func countProbes(given Keys, names string, keys ...string) (int, error) {
	n := 0
	for _, key := range keys {
		if given(key) {
			n++
		}
	}
	if n > 1 {
		return n, &keyError{text: fmt.Sprintf("expected one of %s, found %d of them", names, n)}
	}
	return n, nil
}

// The policies of restarting a process that ended by itself.
const (
	PolicyAlways    = "always"
	PolicyOnFailure = "on-failure" // not after exit code 0
	PolicyNever     = "never"
)

// Restart defines what happens when a process ends by itself.
type Restart struct {
	Policy         string        `json:"policy" yaml:"policy" jsonschema:"enum=always,enum=on-failure,enum=never" jsonschema_description:"Default always, also after exit code 0."`
	FinalExitCodes []int         `json:"final,omitempty" yaml:"final_exit_codes" jsonschema:"minimum=0,maximum=255" jsonschema_description:"Exit codes after which it has failed for good."`
	FirstWait      time.Duration `json:"first" yaml:"first_wait" jsonschema:"type=string,format=timespan" jsonschema_description:"Before the second restart, then doubling: default 100ms. The first restart is at once."`
	LongestWait    time.Duration `json:"longest" yaml:"longest_wait" jsonschema:"type=string,format=timespan" jsonschema_description:"Maximum wait: default 15s."`
	ResetAfter     time.Duration `json:"proven" yaml:"proven" jsonschema:"type=string,format=timespan" jsonschema_description:"After running this long, the waits start at the first again: default 30s."`
	Limit          int           `json:"limit,omitempty" yaml:"limit" jsonschema:"minimum=1,maximum=1000" jsonschema_description:"Restarts within the window after which it has failed: default none."`
	Window         time.Duration `json:"window" yaml:"window" jsonschema:"type=string,format=timespan" jsonschema_description:"Default 1m."`
}

// Defaults sets the values of keys that the file does not have.
func (r *Restart) Defaults() {
	r.Policy, r.FirstWait, r.LongestWait = PolicyAlways, 100*time.Millisecond, 15*time.Second
	r.ResetAfter, r.Window = 30*time.Second, time.Minute
}

// Validate checks the waits against each other.
func (r *Restart) Validate(Keys) error {
	if r.FirstWait > r.LongestWait {
		return &keyError{text: "first_wait is longer than longest_wait"}
	}
	return nil
}

// Stop defines how a process is asked to end, and its grace period.
type Stop struct {
	Signal  string        `json:"signal" yaml:"signal" jsonschema:"format=signal" jsonschema_description:"Default SIGTERM."`
	Timeout time.Duration `json:"timeout" yaml:"timeout" jsonschema:"type=string,format=timespan" jsonschema_description:"Grace period before it is killed: default 15s."`
}

// Defaults sets the values of keys that the file does not have.
func (s *Stop) Defaults() { s.Signal, s.Timeout = "SIGTERM", 15*time.Second }

// The modes of a reload.
const (
	ReloadBeside  = "beside"  // the new process is ready before the old one is asked to end
	ReloadRestart = "restart" // stop, then start: a gap
	ReloadRefused = "refused"
)

// Reload defines how a running process is replaced.
type Reload struct {
	Mode   string        `json:"mode" yaml:"mode" jsonschema:"enum=beside,enum=restart,enum=refused" jsonschema_description:"Default beside for a service with listeners, else refused."`
	Stable time.Duration `json:"stable" yaml:"stable" jsonschema:"type=string,format=timespan" jsonschema_description:"Time that the new process must run after it is ready before the old one is stopped: default 200ms."`
}

// Defaults sets the values of keys that the file does not have, except Mode, which depends on the process.
func (r *Reload) Defaults() { r.Stable = 200 * time.Millisecond }

// Watch defines how a new file in the place of Command is deployed: verified, copied, and the copy run.
type Watch struct {
	Enabled   bool          `json:"on,omitempty" yaml:"-" decode:"short"`
	Probation time.Duration `json:"probation,omitempty" yaml:"probation" jsonschema:"type=string,format=timespan" jsonschema_description:"Probation of a new release: default 30s."`
	Keep      int           `json:"keep,omitempty" yaml:"keep" jsonschema:"minimum=2,maximum=1000" jsonschema_description:"Maximum number of stored releases: default 5."`
	MaxSize   int64         `json:"max_size,omitempty" yaml:"max_size" jsonschema:"type=string,format=size" jsonschema_description:"Maximum size of all stored releases: default 512MB."`
	ErrorRate ErrorRate     `json:"errors,omitzero" yaml:"errors" jsonschema_description:"true, or options: a release that answers too many requests with 5xx on probation is rolled back. Default false."`
}

// Defaults sets the values of keys that the file does not have.
func (w *Watch) Defaults() {
	w.Probation, w.Keep, w.MaxSize = 30*time.Second, 5, 512<<20
	w.ErrorRate.Defaults()
}

// ErrorRate defines where a process counts its requests, and the share of errors (a status of 5xx) above which a release on
// probation is rolled back.
type ErrorRate struct {
	Enabled     bool    `json:"on,omitempty" yaml:"-" decode:"short"`
	Listener    string  `json:"listener,omitempty" yaml:"listener" jsonschema:"format=listener-name" jsonschema_description:"Listener that serves its metrics, one for each process (shared: false): default admin."`
	Path        string  `json:"path,omitempty" yaml:"path" jsonschema:"format=url-path" jsonschema_description:"Default /metrics."`
	Metric      string  `json:"metric,omitempty" yaml:"metric" jsonschema:"format=metric-name" jsonschema_description:"Its counter of requests: default http_server_request_duration_seconds_count."`
	Label       string  `json:"label,omitempty" yaml:"label" jsonschema:"format=label-name" jsonschema_description:"The counter's label with the status: default http_response_status_code."`
	MaxIncrease float64 `json:"above,omitempty" yaml:"above" jsonschema:"type=string,format=share" jsonschema_description:"Maximum share of errors above that of the previous release: default 5%."`
	MinRequests int     `json:"least,omitempty" yaml:"min_requests" jsonschema:"minimum=1,maximum=1000000" jsonschema_description:"Number of requests before which the share is not judged: default 20."`
}

// Defaults sets the values of keys that the file does not have.
func (e *ErrorRate) Defaults() {
	e.Listener, e.Path, e.MaxIncrease, e.MinRequests = "admin", "/metrics", 0.05, 20
	e.Metric, e.Label = "http_server_request_duration_seconds_count", "http_response_status_code"
}

// Limits are set before the program starts; nil keeps pgo's own.
type Limits struct {
	Files           *int  `json:"files,omitempty" yaml:"files" jsonschema:"minimum=16,maximum=1073741824" jsonschema_description:"Open files."`
	Processes       *int  `json:"processes,omitempty" yaml:"processes" jsonschema:"minimum=1,maximum=4194304" jsonschema_description:"Processes and threads of its user."`
	Core            *int  `json:"core,omitempty" yaml:"core" jsonschema:"minimum=0,maximum=1099511627776" jsonschema_description:"Bytes of a core file."`
	Nice            *int  `json:"nice,omitempty" yaml:"nice" jsonschema:"minimum=-20,maximum=19" jsonschema_description:"19 is the lowest priority."`
	OOMScoreAdj     *int  `json:"oom_score_adj,omitempty" yaml:"oom_score_adj" jsonschema:"minimum=-1000,maximum=1000" jsonschema_description:"1000 is killed first when memory runs out."`
	Memory          int64 `json:"memory,omitempty" yaml:"memory" jsonschema:"type=string,format=size" jsonschema_description:"Resident memory of its main process: above it the process is reloaded if it can be, else restarted. Default none."`
	NoNewPrivileges bool  `json:"no_new_privileges,omitempty" yaml:"no_new_privileges" jsonschema_description:"Its children gain no rights by setuid."`
}

// Logs defines where output goes and how long it is kept.
type Logs struct {
	Split    bool          `json:"split,omitempty" yaml:"split" jsonschema_description:"stderr goes to NAME.err.log."`
	MaxSize  int64         `json:"max_size" yaml:"max_size" jsonschema:"type=string,format=size" jsonschema_description:"Rotated when larger: default 50MB."`
	MaxAge   time.Duration `json:"max_age,omitempty" yaml:"max_age" jsonschema:"type=string,format=days" jsonschema_description:"Rotated when older: default never."`
	Keep     int           `json:"keep" yaml:"keep" jsonschema:"minimum=0,maximum=1000" jsonschema_description:"Maximum number of rotated files: default 5."`
	KeepFor  time.Duration `json:"keep_for" yaml:"keep_for" jsonschema:"type=string,format=days" jsonschema_description:"How long rotated files are kept: default 14d."`
	Compress bool          `json:"compress" yaml:"compress" jsonschema_description:"Compress rotated files with gzip: default true."`
}

// Defaults sets the values of keys that the file does not have.
func (l *Logs) Defaults() {
	l.MaxSize, l.Keep, l.KeepFor, l.Compress = 50<<20, 5, 14*24*time.Hour, true
}
