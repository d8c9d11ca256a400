package keeper

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
)

// Hello is what a manager is told when it starts.
type Hello struct {
	Protocol      int               `json:"protocol"`
	Version       string            `json:"version"` // of the keeper
	PID           int               `json:"pid"`     // the keeper's
	IsFirst       bool              `json:"first"`   // no manager was ready before
	Terminating   bool              `json:"terminating"`
	FailureReason string            `json:"excuse"` // why a manager that was to come before this one did not
	Data          map[string][]byte `json:"kept"`
	Held          []string          `json:"held"`
	Children      []Child           `json:"children"`
}

// Link is the manager's end of the connection with its keeper. Its methods may be called at the same time.
type Link struct {
	Hello Hello
	FDs   map[string]int // copies of what is held; the caller's to close

	wire              *wire
	lost              chan struct{}
	terminateRequests chan struct{}

	mu          sync.Mutex
	lastRequest uint64
	answers     map[uint64]chan message
	exits       map[string]*Exit
}

// Exit tells how a child ended.
type Exit struct {
	Done   chan struct{} // closed when it has
	Status syscall.WaitStatus
}

// ErrLost is returned when the keeper is gone.
var ErrLost = errors.New("the keeper is gone")

// Connect takes the link at a descriptor that the keeper has left open.
func Connect(fd int) (*Link, error) {
	w, err := newWire(fd)
	if err != nil {
		return nil, err
	}
	m, _, err := w.receive()
	if err != nil || m.Op != opHello || m.Hello == nil {
		return nil, fmt.Errorf("hear from the keeper: %w", errors.Join(err, ErrLost))
	}
	l := &Link{
		Hello: *m.Hello, FDs: map[string]int{}, wire: w, lost: make(chan struct{}), terminateRequests: make(chan struct{}, 1),
		answers: map[uint64]chan message{}, exits: map[string]*Exit{},
	}
	if m.Hello.Protocol != Protocol {
		err := fmt.Errorf("the keeper (version %s) speaks protocol %d, this program %d: pgo down and pgo up make them one", m.Hello.Version, m.Hello.Protocol, Protocol)
		l.ReportFailure(err)
		return nil, err
	}
	for range l.Hello.Held {
		m, fds, err := w.receive()
		if err != nil || m.Op != opHeld || len(fds) != 1 {
			return nil, fmt.Errorf("take what the keeper holds: %w", errors.Join(err, ErrLost))
		}
		l.FDs[m.Key] = fds[0]
	}
	for _, c := range l.Hello.Children {
		e := &Exit{Done: make(chan struct{}), Status: syscall.WaitStatus(c.Status)}
		if c.HasEnded {
			close(e.Done)
		}
		l.exits[c.ChildSpec.ID] = e
	}
	if l.Hello.Terminating {
		l.terminateRequests <- struct{}{}
	}
	go l.receiveMessages()
	return l, nil
}

// Lost is closed when the keeper is gone.
func (l *Link) Lost() <-chan struct{} { return l.lost }

// TerminateRequests gets a value when the keeper was asked to end.
func (l *Link) TerminateRequests() <-chan struct{} { return l.terminateRequests }

func (l *Link) receiveMessages() {
	defer close(l.lost)
	for {
		m, fds, err := l.wire.receive()
		if err != nil {
			return
		}
		closeDescriptors(fds)
		l.mu.Lock()
		switch m.Op {
		case opAnswer:
			if m.Child != nil {
				// Known before anything else arrives: the next message may be its end.
				l.exits[m.Child.ChildSpec.ID] = &Exit{Done: make(chan struct{})}
			}
			if to := l.answers[m.Number]; to != nil {
				delete(l.answers, m.Number)
				to <- m
			}
		case opExited:
			if e := l.exits[m.Key]; e != nil && m.Child != nil {
				e.Status = syscall.WaitStatus(m.Child.Status)
				close(e.Done)
			}
		case opTerminate:
			select {
			case l.terminateRequests <- struct{}{}:
			default:
			}
		}
		l.mu.Unlock()
	}
}

// request sends a request and waits for its answer.
func (l *Link) request(m message, fds ...int) (message, error) {
	to := make(chan message, 1)
	l.mu.Lock()
	l.lastRequest++
	m.Number = l.lastRequest
	l.answers[m.Number] = to
	l.mu.Unlock()
	if err := l.wire.send(m, fds...); err != nil {
		return message{}, fmt.Errorf("ask the keeper: %w", err)
	}
	select {
	case answer := <-to:
		if answer.Text != "" {
			return answer, errors.New(answer.Text)
		}
		return answer, nil
	case <-l.lost:
		return message{}, ErrLost
	}
}

// notify sends what needs no answer. A keeper that is gone shows at Lost.
func (l *Link) notify(m message) { _ = l.wire.send(m) }

// StartChild starts a child; fds follow the files that f names.
func (l *Link) StartChild(f ChildSpec, fds ...int) (Child, error) {
	answer, err := l.request(message{Op: opStartChild, ChildSpec: &f}, fds...)
	if err != nil {
		return Child{}, err
	}
	if answer.Child == nil {
		return Child{}, errors.New("start: the keeper did not say what it started")
	}
	return *answer.Child, nil
}

// ChildExit is how a child of this keeper ends.
func (l *Link) ChildExit(id string) *Exit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exits[id]
}

// SignalChild sends a signal to a child; one that has ended needs none.
func (l *Link) SignalChild(id string, s syscall.Signal) error {
	_, err := l.request(message{Op: opSignalChild, Key: id, Signal: int(s)})
	return err
}

// ForgetChild settles a child that has ended.
func (l *Link) ForgetChild(id string) {
	l.mu.Lock()
	delete(l.exits, id)
	l.mu.Unlock()
	l.notify(message{Op: opForgetChild, Key: id})
}

// HoldDescriptor has the keeper keep a copy of a descriptor.
func (l *Link) HoldDescriptor(key string, fd int) error {
	_, err := l.request(message{Op: opHold, Key: key}, fd)
	return err
}

// DropDescriptors closes the keeper's copies.
func (l *Link) DropDescriptors(keys ...string) {
	if len(keys) > 0 {
		l.notify(message{Op: opDrop, Keys: keys})
	}
}

// KeepData has the keeper remember data for the next manager; none forgets it.
func (l *Link) KeepData(key string, data []byte) {
	l.notify(message{Op: opKeepData, Key: key, Data: data})
}

// KeepChildData remembers data with a child.
func (l *Link) KeepChildData(id string, data []byte) {
	l.notify(message{Op: opKeepChildData, Key: id, Data: data})
}

// ReportReady says that this manager answers.
func (l *Link) ReportReady() { l.notify(message{Op: opReady}) }

// ReportAlive says that this manager goes on. Who has said so once must say so again within Silence.
func (l *Link) ReportAlive() { l.notify(message{Op: opAlive}) }

// ReportFailure says why this manager cannot start.
func (l *Link) ReportFailure(err error) { l.notify(message{Op: opFailed, Text: err.Error()}) }

// UpgradeTo has the keeper start the next manager from another program, once this one has ended.
func (l *Link) UpgradeTo(program string) error {
	_, err := l.request(message{Op: opUpgrade, Text: program})
	return err
}

// EndKeeper says that everything has been stopped, and ends the keeper.
func (l *Link) EndKeeper() error {
	_, err := l.request(message{Op: opEnd})
	return err
}
