package proc

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	line := "12 (a) b (c) S 1 12 34 0 -1 0 98 0 0 0 200 100 0 0 20 0 1 0 280361 3133440 362 18446744073709551615\n"
	got, err := parse([]byte(line))
	want := Stat{PID: 12, Session: 34, CPU: 300 * tick, Start: 280361, Memory: 362 * int64(os.Getpagesize())}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "12 (a S 1", "12 )a( S", "x" + line, strings.Replace(line, "34", "-", 1)} {
		if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("taken for a process: %q", bad)
		}
	}
}

func TestSession(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	members := Sessions(pid)[pid]
	if len(members) != 1 || members[0].PID != pid {
		t.Fatalf("members: %+v", members)
	}
	other := members[0]
	other.Start++
	if err := other.Signal(syscall.SIGKILL); err == nil {
		t.Error("a process that started at another time got the signal")
	}
	if err := members[0].Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	cmd.Wait()
	if left := Sessions(pid)[pid]; len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

func TestListening(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	if got := Listening(addr); !strings.HasSuffix(got, "(pid "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("got %q", got)
	}
	l.Close()
	if got := Listening(addr); got != "" {
		t.Errorf("after it was closed: %q", got)
	}
}
