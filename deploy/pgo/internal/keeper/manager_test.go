package keeper

import (
	"encoding/binary"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A manager whose link breaks in the middle of a request is killed, and its earlier requests stay done.
func TestManagerBreaksLink(t *testing.T) {
	frames := map[string][]byte{
		"a cut head":      {0, 0},
		"a cut body":      append(binary.BigEndian.AppendUint32(nil, 1000), `{"op":"fork","fork":{"program":"/bin/tr`...),
		"a wrong message": append(binary.BigEndian.AppendUint32(nil, 5), "wrong"...),
		"a huge message":  {0xff, 0xff, 0xff, 0xff},
	}
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) {
			k := newKeeper()
			link, process, served := connectManager(t, k)
			link.KeepData("note", []byte("kept"))
			if _, err := link.wire.conn.Write(frame); err != nil {
				t.Fatal(err)
			}
			if err := link.wire.conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			<-served
			state, err := process.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if status, ok := state.Sys().(syscall.WaitStatus); !ok || status.Signal() != unix.SIGKILL {
				t.Errorf("the manager: %v", state)
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			if string(k.data["note"]) != "kept" || len(k.children) != 0 {
				t.Errorf("kept %v, children %v", k.data, k.children)
			}
		})
	}
}

// Data that a manager sent before it ended is stored, though it was not read yet; a request without a reader is not done.
func TestManagerTailIsRead(t *testing.T) {
	k := newKeeper()
	link, _, served := connectManager(t, k)
	k.mu.Lock() // the keeper is busy
	k.isOver = true
	link.KeepData("note", []byte("kept"))
	requested := make(chan error, 1)
	go func() { _, err := link.StartChild(ChildSpec{ID: "late", Program: "/bin/true"}); requested <- err }()
	for { // until it is sent
		link.mu.Lock()
		waits := len(link.answers)
		link.mu.Unlock()
		if waits > 0 {
			break
		}
		runtime.Gosched()
	}
	link.KeepData("more", []byte("kept as well"))
	k.recordManagerExit(0)
	k.mu.Unlock()
	if err := link.wire.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-served
	if err := <-requested; err == nil {
		t.Error("it was done for a manager that had ended")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.manager != nil || string(k.data["note"]) != "kept" || string(k.data["more"]) != "kept as well" || len(k.children) != 0 {
		t.Errorf("manager %+v, kept %q, children %v", k.manager, k.data, k.children)
	}
}

// A manager that reports that it is alive once, and never again, hangs.
func TestManagerHangs(t *testing.T) {
	k := newKeeper()
	k.Options.MaxSilence = 100 * time.Millisecond
	link, process, _ := connectManager(t, k)
	link.ReportAlive()
	state, err := process.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || status.Signal() != unix.SIGQUIT {
		t.Errorf("the manager: %v", state)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !strings.Contains(k.manager.endReason, "it hung") {
		t.Errorf("the reason is %q", k.manager.endReason)
	}
}
