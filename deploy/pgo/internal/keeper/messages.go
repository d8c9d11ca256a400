package keeper

import "time"

// Protocol is the version of the messages between keeper and manager. A manager of another version refuses to start, and the
// keeper goes back to the previous one.
const Protocol = 1

// Operations of a message, each with its sender.
const (
	opHello         = "hello"     // keeper: everything that it holds; the descriptors follow
	opHeld          = "held"      // keeper: one descriptor of the hello
	opExited        = "exited"    // keeper: a child ended
	opTerminate     = "terminate" // keeper: stop everything, it was asked to end
	opRequest       = "request"   // keeper: a signal asked for this Request
	opAnswer        = "answer"    // keeper: the answer to the request of the same number
	opReady         = "ready"     // manager: it answers commands
	opAlive         = "alive"     // manager: it is alive; from the first one on the keeper waits for the next
	opFailed        = "failed"    // manager: the reason why it cannot start
	opHold          = "hold"      // manager: keep this descriptor
	opDrop          = "drop"      // manager: close these descriptors
	opKeepData      = "keep"      // manager: remember these bytes; no bytes forget the key
	opKeepChildData = "keepchild" // manager: remember these bytes with a child
	opStartChild    = "fork"      // manager: start a child
	opSignalChild   = "signal"    // manager: send a signal to a child that has not been reaped
	opForgetChild   = "forget"    // manager: forget a child that has ended
	opUpgrade       = "upgrade"   // manager: start this program as the next manager
	opEnd           = "end"       // manager: everything is stopped, the keeper may end
)

// message is the content of a frame. Op decides which fields it uses.
type message struct {
	Op        string     `json:"op"`
	Number    uint64     `json:"number,omitempty"` // pairs a request with its answer; 0 asks for none
	Key       string     `json:"key,omitempty"`
	Keys      []string   `json:"keys,omitempty"`
	Data      []byte     `json:"data,omitempty"`
	Text      string     `json:"text,omitempty"`
	Signal    int        `json:"signal,omitempty"`
	ChildSpec *ChildSpec `json:"fork,omitempty"`
	Child     *Child     `json:"child,omitempty"`
	Hello     *Hello     `json:"hello,omitempty"`

	Descriptors int `json:"descriptors,omitempty"` // how many come with a request; those of older managers do not name it
}

// ChildSpec describes a child to start.
type ChildSpec struct {
	ID       string   `json:"id"` // unique name of the child
	Name     string   `json:"name"`
	Instance int      `json:"instance"`
	Program  string   `json:"program"` // path of the executable
	Argv     []string `json:"argv"`
	Env      []string `json:"env"`
	Dir      string   `json:"dir"`
	Files    []string `json:"files"` // held descriptors that become 0, 1, 2 ...; those of the request follow
	Spec     []byte   `json:"spec"`  // opaque, for the manager
}

// Child is a process that the keeper started and no manager has forgotten yet.
type Child struct {
	ChildSpec
	PID        int       `json:"pid"`
	StartTicks uint64    `json:"start"` // in clock ticks since boot: with PID it identifies the process
	StartedAt  time.Time `json:"started"`
	HasEnded   bool      `json:"ended"`
	Status     int       `json:"status"` // as of wait(2), once it has ended
	State      []byte    `json:"state"`  // opaque, for the manager
}

// Hello is the first message to a manager: everything that the keeper holds.
type Hello struct {
	Protocol      int               `json:"protocol"`
	Version       string            `json:"version"` // of the keeper's program
	PID           int               `json:"pid"`     // of the keeper
	IsFirst       bool              `json:"first"`   // no manager was ready before
	Terminating   bool              `json:"terminating"`
	FailureReason string            `json:"excuse"` // why the upgrade to another manager failed; else empty
	Data          map[string][]byte `json:"kept"`
	Held          []string          `json:"held"`
	Children      []Child           `json:"children"`
}

// Request names a command that a signal to the keeper requests from the manager.
type Request string

// The requests, by signal.
const (
	RequestApply   Request = "apply"   // SIGHUP: apply the process file again
	RequestReopen  Request = "reopen"  // SIGUSR1: reopen the logs
	RequestUpgrade Request = "upgrade" // SIGUSR2: replace the manager by the program at the keeper's path
)
