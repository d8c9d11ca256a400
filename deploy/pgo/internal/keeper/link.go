package keeper

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
)

// Link is the manager's end of the connection to its keeper. Its methods may be called concurrently.
type Link struct {
	Hello Hello
	FDs   map[string]int // copies of the held descriptors, which the caller closes

	wire              *wire
	lost              chan struct{}
	terminateRequests chan struct{}
	requests          chan Request

	mu          sync.Mutex
	lastRequest uint64
	answers     map[uint64]chan message
	exits       map[string]*Exit
}

// Exit is the end of a child.
type Exit struct {
	Done   chan struct{}      // closed when the child has ended
	Status syscall.WaitStatus // valid once Done is closed
}

// ErrLost is returned when the keeper is gone.
var ErrLost = errors.New("the keeper is gone")

// Connect opens the link at the descriptor that the keeper left open, and reads the hello. It returns an error that wraps
// ErrLost where the keeper is gone, and one that names both versions where the keeper speaks another protocol.
func Connect(fd int) (*Link, error) {
	w, err := newWire(fd)
	if err != nil {
		return nil, err
	}
	m, _, err := w.receive()
	if err != nil || m.Op != opHello || m.Hello == nil {
		return nil, fmt.Errorf("read the hello of the keeper: %w", errors.Join(err, ErrLost))
	}
	l := &Link{
		Hello: *m.Hello, FDs: map[string]int{}, wire: w, lost: make(chan struct{}), terminateRequests: make(chan struct{}, 1),
		requests: make(chan Request, 4),
		answers:  map[uint64]chan message{}, exits: map[string]*Exit{},
	}
	if m.Hello.Protocol != Protocol {
		err := fmt.Errorf("the keeper (version %s) speaks protocol %d, this program %d: pgo down and pgo up make them one", m.Hello.Version, m.Hello.Protocol, Protocol)
		l.ReportFailure(err)
		return nil, err
	}
	for range l.Hello.Held {
		m, fds, err := w.receive()
		if err != nil || m.Op != opHeld || len(fds) != 1 {
			return nil, fmt.Errorf("receive the descriptors of the keeper: %w", errors.Join(err, ErrLost))
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

// TerminateRequests gets a value when the keeper is asked to end.
func (l *Link) TerminateRequests() <-chan struct{} { return l.terminateRequests }

// Requests gets what signals to the keeper ask for.
func (l *Link) Requests() <-chan Request { return l.requests }

// receiveMessages dispatches answers, exits and requests to terminate until the link closes.
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
				// Known before the next message arrives, which may be its exit.
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
		case opRequest:
			select {
			case l.requests <- Request(m.Text):
			default: // as many wait already
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
	m.Number, m.Descriptors = l.lastRequest, len(fds)
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

// notify sends a message that needs no answer. A keeper that is gone closes Lost.
func (l *Link) notify(m message) { _ = l.wire.send(m) }

// StartChild has the keeper start a child. fds become its descriptors after the files that f names.
func (l *Link) StartChild(f ChildSpec, fds ...int) (Child, error) {
	answer, err := l.request(message{Op: opStartChild, ChildSpec: &f}, fds...)
	if err != nil {
		return Child{}, err
	}
	if answer.Child == nil {
		return Child{}, errors.New("start: the keeper answered without a child")
	}
	return *answer.Child, nil
}

// ChildExit returns the end of a child, or nil where the keeper has no child of that ID.
func (l *Link) ChildExit(id string) *Exit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exits[id]
}

// SignalChild sends a signal to a child. It is no error if the child has ended.
func (l *Link) SignalChild(id string, s syscall.Signal) error {
	_, err := l.request(message{Op: opSignalChild, Key: id, Signal: int(s)})
	return err
}

// ForgetChild has the keeper forget a child that has ended.
func (l *Link) ForgetChild(id string) {
	l.mu.Lock()
	delete(l.exits, id)
	l.mu.Unlock()
	l.notify(message{Op: opForgetChild, Key: id})
}

// HoldDescriptor has the keeper hold a copy of a descriptor for the next manager.
func (l *Link) HoldDescriptor(key string, fd int) error {
	_, err := l.request(message{Op: opHold, Key: key}, fd)
	return err
}

// DropDescriptors has the keeper close its copies.
func (l *Link) DropDescriptors(keys ...string) {
	if len(keys) > 0 {
		l.notify(message{Op: opDrop, Keys: keys})
	}
}

// KeepData has the keeper remember data for the next manager. Empty data forgets the key.
func (l *Link) KeepData(key string, data []byte) {
	l.notify(message{Op: opKeepData, Key: key, Data: data})
}

// KeepChildData has the keeper remember data with a child.
func (l *Link) KeepChildData(id string, data []byte) {
	l.notify(message{Op: opKeepChildData, Key: id, Data: data})
}

// ReportReady tells the keeper that this manager answers commands.
func (l *Link) ReportReady() { l.notify(message{Op: opReady}) }

// ReportAlive tells the keeper that this manager is alive. After the first report, each must follow within MaxSilence.
func (l *Link) ReportAlive() { l.notify(message{Op: opAlive}) }

// ReportFailure tells the keeper why this manager cannot start.
func (l *Link) ReportFailure(err error) { l.notify(message{Op: opFailed, Text: err.Error()}) }

// UpgradeTo has the keeper start the next manager from another program once this one has ended.
func (l *Link) UpgradeTo(program string) error {
	_, err := l.request(message{Op: opUpgrade, Text: program})
	return err
}

// EndKeeper tells the keeper that everything is stopped, which ends it.
func (l *Link) EndKeeper() error {
	_, err := l.request(message{Op: opEnd})
	return err
}
