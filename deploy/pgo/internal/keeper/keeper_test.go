package keeper

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newWirePair returns the two ends of a link.
func newWirePair(t *testing.T) (keeper, manager *wire) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := [2]*wire{}
	for i, fd := range fds {
		if ends[i], err = newWire(fd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ends[i].close)
	}
	return ends[0], ends[1]
}

func TestWire(t *testing.T) {
	from, to := newWirePair(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	large := bytes.Repeat([]byte("x"), 3<<20) // far more than the socket takes at once
	sent := make(chan error, 1)
	go func() {
		sent <- errors.Join(
			from.send(message{Op: opKeepData, Key: "a", Data: large}),
			from.send(message{Op: opHold, Key: "b"}, int(write.Fd())),
			from.send(message{Op: opEnd}),
		)
	}()
	m, fds, err := to.receive()
	if err != nil || m.Op != opKeepData || m.Key != "a" || !bytes.Equal(m.Data, large) || len(fds) != 0 {
		t.Fatalf("%s %s, %d bytes, %v, %v", m.Op, m.Key, len(m.Data), fds, err)
	}
	m, fds, err = to.receive()
	if err != nil || m.Op != opHold || m.Key != "b" || len(fds) != 1 {
		t.Fatalf("%+v, %v, %v", m, fds, err)
	}
	if flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("a descriptor would be passed on: %x %v", flags, err)
	}
	if _, err := unix.Write(fds[0], []byte("!")); err != nil {
		t.Errorf("the descriptor is another: %v", err)
	}
	closeDescriptors(fds)
	if m, fds, err = to.receive(); err != nil || m.Op != opEnd || len(fds) != 0 {
		t.Fatalf("%+v, %v, %v", m, fds, err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestWireRejectsDamage(t *testing.T) {
	frame := func(size int, body string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(size)), body...)
	}
	tests := []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"nothing", nil, "EOF"},
		{"a cut head", []byte{0, 0}, "EOF"},
		{"a cut body", frame(100, `{"op":"hold"`), "unexpected EOF"},
		{"no body", frame(100, ""), "EOF"},
		{"too large", frame(maxMessage+1, ""), "a message of 67108865 bytes"},
		{"larger than all", []byte{0xff, 0xff, 0xff, 0xff}, "a message of 4294967295 bytes"},
		{"not JSON", frame(4, "what"), "invalid character"},
		{"JSON of another form", frame(10, `{"op":[1]}`), "cannot unmarshal"},
		{"empty", frame(0, ""), "unexpected end of JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			from, to := newWirePair(t)
			// With a descriptor, which must not stay open.
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			if len(test.bytes) > 0 {
				if _, _, err := from.conn.WriteMsgUnix(test.bytes, unix.UnixRights(int(write.Fd())), nil); err != nil {
					t.Fatal(err)
				}
			}
			write.Close()
			from.close()
			if _, _, err := to.receive(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if err := read.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if n, err := read.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the descriptor is open still: %d, %v", n, err)
			}
		})
	}
}

// connectManager makes this test the manager of a keeper. The keeper takes the process for the manager, and kills it.
func connectManager(t *testing.T, k *Keeper) (link *Link, process *os.Process, served <-chan struct{}) {
	t.Helper()
	process = startStandIn(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWire(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	r := &managerProcess{pid: process.Pid, wire: w, startedAt: time.Now()}
	k.mu.Lock()
	k.manager = r
	greeted := make(chan error, 1)
	go func() {
		defer k.mu.Unlock()
		greeted <- k.greetManager()
	}()
	if link, err = Connect(fds[1]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.wire.close)
	if err := <-greeted; err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.serveManager(r)
	}()
	return link, process, ended
}

func newKeeper() *Keeper {
	return &Keeper{
		Options:  Options{Version: "1", OnStarted: func(error) {}, Log: slog.New(slog.DiscardHandler)},
		ended:    make(chan error, 1),
		children: map[string]*Child{}, data: map[string][]byte{}, held: map[string]int{},
	}
}

// startStandIn starts a process in place of the manager's, so that it may be killed.
func startStandIn(t *testing.T) *os.Process {
	t.Helper()
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill() // it may have ended already
		_, _ = p.Wait()
	})
	return p
}

// The next manager finds everything that the previous one left: bytes, descriptors, children and their exits.
func TestNextManager(t *testing.T) {
	k := newKeeper()
	first, _, served := connectManager(t, k)
	if !first.Hello.IsFirst || first.Hello.Protocol != Protocol || first.Hello.PID != os.Getpid() {
		t.Errorf("hello %+v", first.Hello)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	first.ReportReady()
	first.KeepData("note", []byte("kept"))
	first.KeepData("gone", []byte("kept"))
	first.KeepData("gone", nil)
	if err := errors.Join(first.HoldDescriptor("pipe", int(write.Fd())), first.HoldDescriptor("other", int(write.Fd()))); err != nil {
		t.Fatal(err)
	}
	write.Close()
	first.DropDescriptors("other", "never there")
	c, err := first.StartChild(ChildSpec{ID: "c", Program: "/bin/sleep", Argv: []string{"sleep", "1000"}, Dir: "/", Files: []string{"pipe", "pipe"}})
	if err != nil || c.PID == 0 || c.StartTicks == 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	first.KeepChildData("c", []byte("state"))
	if err := first.SignalChild("c", 0); err != nil {
		t.Error(err)
	}
	first.wire.close()
	<-served
	// The child ends while there is no manager. The test reaps for the keeper: it has children of its own.
	if err := unix.Kill(c.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(c.PID, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	k.manager = nil
	k.recordExit(c.PID, status)
	k.isTerminating = true
	k.mu.Unlock()
	second, _, _ := connectManager(t, k)
	h := second.Hello
	if h.IsFirst || string(h.Data["note"]) != "kept" || len(h.Data) != 1 || len(h.Held) != 1 || len(h.Children) != 1 || !h.Terminating {
		t.Errorf("hello %+v", h)
	}
	if got := h.Children[0]; got.PID != c.PID || got.StartTicks != c.StartTicks || !got.HasEnded || string(got.State) != "state" {
		t.Errorf("child %+v", got)
	}
	select {
	case <-second.TerminateRequests():
	default:
		t.Error("it got no request to terminate")
	}
	e := second.ChildExit("c")
	<-e.Done
	if e.Status.Signal() != unix.SIGKILL {
		t.Errorf("status %v", e.Status)
	}
	if err := second.SignalChild("c", unix.SIGTERM); err != nil {
		t.Errorf("of a child that has ended: %v", err)
	}
	if _, err := unix.Write(second.FDs["pipe"], []byte("!")); err != nil {
		t.Errorf("the pipe: %v", err)
	}
	_ = unix.Close(second.FDs["pipe"])
	second.ForgetChild("c")
	second.DropDescriptors("pipe")
	if err := second.EndKeeper(); err != nil {
		t.Error(err)
	}
	if err := <-k.ended; err != nil {
		t.Error(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.children) != 0 || len(k.held) != 0 {
		t.Errorf("left: %v %v", k.children, k.held)
	}
}

// Invalid requests are answered with an error, and the link goes on.
func TestBadRequests(t *testing.T) {
	k := newKeeper()
	link, _, _ := connectManager(t, k)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	tests := []struct {
		name string
		ask  func() error
		want string
	}{
		{"unknown", func() error { _, err := link.request(message{Op: "dance"}); return err }, `the keeper does not know "dance"`},
		{"no operation", func() error { _, err := link.request(message{}); return err }, `the keeper does not know ""`},
		{"unknown, with a descriptor", func() error { _, err := link.request(message{Op: "dance"}, int(write.Fd())); return err }, "does not know"},
		{"hold nothing", func() error { _, err := link.request(message{Op: opHold, Key: "x"}); return err }, "could not take a descriptor"},
		{"hold two", func() error {
			_, err := link.request(message{Op: opHold, Key: "x"}, int(write.Fd()), int(write.Fd()))
			return err
		}, "could not take a descriptor"},
		{"start no child", func() error { _, err := link.request(message{Op: opStartChild}); return err }, "start: no child"},
		{"start with a file that is not held", func() error {
			_, err := link.StartChild(ChildSpec{ID: "c", Program: "/bin/true", Files: []string{"x"}})
			return err
		}, "start: nothing is held as x"},
		{"start a missing program", func() error {
			_, err := link.StartChild(ChildSpec{ID: "c", Program: "/bin/no such", Argv: []string{"x"}})
			return err
		}, "start: no such file or directory"},
		{"start in a missing directory", func() error {
			_, err := link.StartChild(ChildSpec{ID: "c", Program: "/bin/true", Argv: []string{"x"}, Dir: "/no such"})
			return err
		}, "start: no such file or directory"},
		{"signal no child", func() error { return link.SignalChild("none", unix.SIGTERM) }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.ask()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	link.ForgetChild("none")
	link.KeepChildData("none", []byte("x"))
	if err := link.HoldDescriptor("good", int(write.Fd())); err != nil {
		t.Errorf("after all that: %v", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.held) != 1 || len(k.children) != 0 {
		t.Errorf("held %v, children %v", k.held, k.children)
	}
	closeDescriptors([]int{k.held["good"]})
}

// Requests end with ErrLost when the keeper goes, however many there are.
func TestKeeperGoes(t *testing.T) {
	k, process := newKeeper(), startStandIn(t)
	k.mu.Lock() // it never answers
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWire(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	k.manager = &managerProcess{pid: process.Pid, wire: w}
	if err := k.greetManager(); err != nil {
		t.Fatal(err)
	}
	link, err := Connect(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	defer link.wire.close()
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			if err := link.SignalChild(fmt.Sprint(n), unix.SIGTERM); err == nil {
				t.Error("answered without a keeper")
			}
		})
	}
	for range 20 { // all are asked
		if _, _, err := w.receive(); err != nil {
			t.Fatal(err)
		}
	}
	w.close()
	all.Wait()
	<-link.Lost()
	if _, err := link.StartChild(ChildSpec{ID: "c"}); err == nil {
		t.Error("a child without a keeper")
	}
}

// A manager that a keeper of another version has started gets the reason why it cannot run.
func TestConnectRefuses(t *testing.T) {
	hello := func(change func(*Hello)) func(*wire) error {
		return func(w *wire) error {
			h := &Hello{Protocol: Protocol, Version: "7"}
			change(h)
			return w.send(message{Op: opHello, Hello: h})
		}
	}
	tests := []struct {
		name  string
		greet func(*wire) error
		want  string
	}{
		{"another protocol", hello(func(h *Hello) { h.Protocol++ }), "the keeper (version 7) speaks protocol 2, this program 1: pgo down and pgo up make them one"},
		{"no hello", func(w *wire) error { return w.send(message{Op: opExited}) }, "read the hello of the keeper"},
		{"an empty hello", func(w *wire) error { return w.send(message{Op: opHello}) }, "read the hello of the keeper"},
		{"nothing", func(*wire) error { return nil }, "EOF"},
		{"no descriptors", hello(func(h *Hello) { h.Held = []string{"x"} }), "receive the descriptors of the keeper"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			w, err := newWire(fds[0])
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			if err := errors.Join(test.greet(w), w.conn.CloseWrite()); err != nil {
				t.Fatal(err)
			}
			if _, err := Connect(fds[1]); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// Reading ends with a message or an error, whatever comes over the link.
func FuzzReceive(f *testing.F) {
	body, err := json.Marshal(message{Op: opStartChild, ChildSpec: &ChildSpec{ID: "x"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, content []byte) {
		from, to := newWirePair(t)
		defer from.close()
		defer to.close()
		if len(content) > 64<<10 {
			return // writing would block until it is read
		}
		if _, err := from.conn.Write(content); err != nil {
			t.Fatal(err)
		}
		from.close()
		for range len(content) + 1 {
			if _, fds, err := to.receive(); err != nil {
				closeDescriptors(fds)
				return
			}
		}
		t.Error("more messages than bytes")
	})
}
