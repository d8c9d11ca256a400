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

// A manager that breaks off in the middle of a request is killed, and what it had done stays.
func TestManagerThatBreaksOff(t *testing.T) {
	frames := map[string][]byte{
		"half a head":     {0, 0},
		"half a body":     append(binary.BigEndian.AppendUint32(nil, 1000), `{"op":"fork","fork":{"program":"/bin/tr`...),
		"a wrong message": append(binary.BigEndian.AppendUint32(nil, 5), "wrong"...),
		"a huge message":  {0xff, 0xff, 0xff, 0xff},
	}
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) {
			k := newKeeper()
			link, process, served := manage(t, k)
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

// What a manager has told before it ended is true, though nobody had read it; what it asked for is nothing to anybody.
func TestLastWordsOfAManager(t *testing.T) {
	k := newKeeper()
	link, _, served := manage(t, k)
	k.mu.Lock() // the keeper is busy
	k.isOver = true
	link.KeepData("note", []byte("kept"))
	asked := make(chan error, 1)
	go func() { _, err := link.StartChild(ChildSpec{ID: "late", Program: "/bin/true"}); asked <- err }()
	for { // until it is on its way
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
	if err := <-asked; err == nil {
		t.Error("it was done for one that had ended")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.manager != nil || string(k.data["note"]) != "kept" || string(k.data["more"]) != "kept as well" || len(k.children) != 0 {
		t.Errorf("manager %+v, kept %q, children %v", k.manager, k.data, k.children)
	}
}

// A manager that says that it lives, and then no more, hangs.
func TestManagerThatHangs(t *testing.T) {
	k := newKeeper()
	k.Options.MaxSilence = 100 * time.Millisecond
	link, process, _ := manage(t, k)
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
		t.Errorf("it is told that %q", k.manager.endReason)
	}
}
