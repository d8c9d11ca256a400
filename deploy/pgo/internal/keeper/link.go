package keeper

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
)

// Hello is what a manager is told when it starts.
type Hello struct {
	Protocol    int               `json:"protocol"`
	Version     string            `json:"version"` // of the keeper
	PID         int               `json:"pid"`     // the keeper's
	First       bool              `json:"first"`   // no manager was ready before
	Terminating bool              `json:"terminating"`
	Excuse      string            `json:"excuse"` // why a manager that was to come before this one did not
	Kept        map[string][]byte `json:"kept"`
	Held        []string          `json:"held"`
	Children    []Child           `json:"children"`
}

// Link is the manager's end of the connection with its keeper. Its methods may be called at the same time.
type Link struct {
	Hello Hello
	FDs   map[string]int // copies of what is held; the caller's to close

	wire      *wire
	lost      chan struct{}
	terminate chan struct{}

	mu      sync.Mutex
	number  uint64
	waiting map[uint64]chan message
	exits   map[string]*Exit
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
		Hello: *m.Hello, FDs: map[string]int{}, wire: w, lost: make(chan struct{}), terminate: make(chan struct{}, 1),
		waiting: map[uint64]chan message{}, exits: map[string]*Exit{},
	}
	if m.Hello.Protocol != Protocol {
		err := fmt.Errorf("the keeper (version %s) speaks protocol %d, this program %d: pgo down and pgo up make them one", m.Hello.Version, m.Hello.Protocol, Protocol)
		l.Failed(err)
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
		if c.Ended {
			close(e.Done)
		}
		l.exits[c.Fork.ID] = e
	}
	if l.Hello.Terminating {
		l.terminate <- struct{}{}
	}
	go l.listen()
	return l, nil
}

// Lost is closed when the keeper is gone.
func (l *Link) Lost() <-chan struct{} { return l.lost }

// Terminate gets a value when the keeper was asked to end.
func (l *Link) Terminate() <-chan struct{} { return l.terminate }

func (l *Link) listen() {
	defer close(l.lost)
	for {
		m, fds, err := l.wire.receive()
		if err != nil {
			return
		}
		closeAll(fds)
		l.mu.Lock()
		switch m.Op {
		case opAnswer:
			if m.Child != nil {
				// Known before anything else arrives: the next message may be its end.
				l.exits[m.Child.Fork.ID] = &Exit{Done: make(chan struct{})}
			}
			if to := l.waiting[m.Number]; to != nil {
				delete(l.waiting, m.Number)
				to <- m
			}
		case opExited:
			if e := l.exits[m.Key]; e != nil && m.Child != nil {
				e.Status = syscall.WaitStatus(m.Child.Status)
				close(e.Done)
			}
		case opTerminate:
			select {
			case l.terminate <- struct{}{}:
			default:
			}
		}
		l.mu.Unlock()
	}
}

// ask sends a request and waits for its answer.
func (l *Link) ask(m message, fds ...int) (message, error) {
	to := make(chan message, 1)
	l.mu.Lock()
	l.number++
	m.Number = l.number
	l.waiting[m.Number] = to
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

// tell sends what needs no answer. A keeper that is gone shows at Lost.
func (l *Link) tell(m message) { _ = l.wire.send(m) }

// Fork starts a child; fds follow the files that f names.
func (l *Link) Fork(f Fork, fds ...int) (Child, error) {
	answer, err := l.ask(message{Op: opFork, Fork: &f}, fds...)
	if err != nil {
		return Child{}, err
	}
	if answer.Child == nil {
		return Child{}, errors.New("start: the keeper did not say what it started")
	}
	return *answer.Child, nil
}

// Exit is how a child of this keeper ends.
func (l *Link) Exit(id string) *Exit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exits[id]
}

// Signal sends a signal to a child; one that has ended needs none.
func (l *Link) Signal(id string, s syscall.Signal) error {
	_, err := l.ask(message{Op: opSignal, Key: id, Signal: int(s)})
	return err
}

// Forget settles a child that has ended.
func (l *Link) Forget(id string) {
	l.mu.Lock()
	delete(l.exits, id)
	l.mu.Unlock()
	l.tell(message{Op: opForget, Key: id})
}

// Hold has the keeper keep a copy of a descriptor.
func (l *Link) Hold(key string, fd int) error {
	_, err := l.ask(message{Op: opHold, Key: key}, fd)
	return err
}

// Drop closes the keeper's copies.
func (l *Link) Drop(keys ...string) {
	if len(keys) > 0 {
		l.tell(message{Op: opDrop, Keys: keys})
	}
}

// Keep has the keeper remember data for the next manager; none forgets it.
func (l *Link) Keep(key string, data []byte) { l.tell(message{Op: opKeep, Key: key, Data: data}) }

// KeepChild remembers data with a child.
func (l *Link) KeepChild(id string, data []byte) {
	l.tell(message{Op: opKeepChild, Key: id, Data: data})
}

// Ready says that this manager answers.
func (l *Link) Ready() { l.tell(message{Op: opReady}) }

// Alive says that this manager goes on. Who has said so once must say so again within Silence.
func (l *Link) Alive() { l.tell(message{Op: opAlive}) }

// Failed says why this manager cannot start.
func (l *Link) Failed(err error) { l.tell(message{Op: opFailed, Text: err.Error()}) }

// Upgrade has the keeper start the next manager from another program, once this one has ended.
func (l *Link) Upgrade(program string) error {
	_, err := l.ask(message{Op: opUpgrade, Text: program})
	return err
}

// End says that everything has been stopped, and ends the keeper.
func (l *Link) End() error {
	_, err := l.ask(message{Op: opEnd})
	return err
}
