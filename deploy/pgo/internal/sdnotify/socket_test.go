package sdnotify

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // as a killed manager leaves it
		t.Fatal(err)
	}
	n, err := OpenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan Message)
	served := make(chan struct{})
	go func() { defer close(served); n.Receive(func(x Message) { heard <- x }) }()
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for text, want := range map[string]map[string]string{
		"READY=1\nSTATUS=a=b": {"READY": "1", "STATUS": "a=b"},
		"nonsense\n\n=":       {"": ""},
	} {
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		got := <-heard
		if diff := cmp.Diff(want, got.Fields); diff != "" {
			t.Error(diff)
		}
		if got.PID != os.Getpid() || !got.IsFrom(os.Getpid()) {
			t.Errorf("from %d, want %d", got.PID, os.Getpid())
		}
	}
	n.Close()
	<-served
}

// A message counts if the process or something that it started has sent it.
func TestNotificationOfAnotherProcess(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	if (Message{PID: cmd.Process.Pid}).IsFrom(os.Getpid()) {
		t.Error("a process of another session is believed")
	}
	// Someone else of the same session, as a shell's helper would be.
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { child.Process.Kill(); child.Wait() }()
	session, _, errno := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if !(Message{PID: child.Process.Pid}).IsFrom(int(session)) {
		t.Error("a process of the same session is not believed")
	}
}
