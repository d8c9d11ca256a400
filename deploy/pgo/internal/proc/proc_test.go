package proc

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestParseStat(t *testing.T) {
	line := "12 (a) b (c) S 1 12 34 0 -1 0 98 0 0 0 200 100 0 0 20 0 1 0 280361 3133440 362 18446744073709551615\n"
	got, err := parseStat([]byte(line))
	want := Stat{PID: 12, Parent: 1, Session: 34, CPU: 300 * clockTick, Start: 280361, Memory: 362 * int64(os.Getpagesize())}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "12 (a S 1", "12 )a( S", "x" + line, strings.Replace(line, "34", "-", 1)} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("taken for a process: %q", bad)
		}
	}
}

func TestSessionMembers(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	sessions, err := SessionMembers(pid)
	members := sessions[pid]
	if err != nil || len(members) != 1 || members[0].PID != pid {
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
	if sessions, err := SessionMembers(pid); err != nil || len(sessions[pid]) != 0 {
		t.Errorf("left: %+v, %v", sessions, err)
	}
}

// TestSessionMembersOfMany finds all members of a session, including those whose parent has ended, among other processes.
func TestSessionMembersOfMany(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & (sleep 60 &) ; echo; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	all, err := SessionMembers(pid, os.Getpid()+1<<22)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, s := range all[pid] {
		if s.Session != pid || s.Start == 0 {
			t.Errorf("%+v", s)
		}
		pids = append(pids, s.PID)
	}
	if len(pids) != 3 {
		t.Errorf("members: %v", pids)
	}
	for _, member := range pids {
		if err := Kill(member, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	_ = cmd.Wait() // it was killed
}

func TestCountOpenFiles(t *testing.T) {
	before := CountOpenFiles(os.Getpid())
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	after := CountOpenFiles(os.Getpid())
	f.Close()
	if before < 3 || after != before+1 {
		t.Errorf("%d, with one more %d", before, after)
	}
	if n := CountOpenFiles(1 << 22); n != -1 {
		t.Errorf("of no process: %d", n)
	}
}

func BenchmarkSessionMembers(b *testing.B) {
	for b.Loop() {
		_, _ = SessionMembers(os.Getpid())
	}
}

func TestFindListener(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		t.Run(at, func(t *testing.T) {
			l, err := net.Listen("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			addr := netip.MustParseAddrPort(l.Addr().String())
			if got := FindListener(addr); !strings.HasSuffix(got, "(pid "+strconv.Itoa(os.Getpid())+")") {
				t.Errorf("who listens at %s: %q", addr, got)
			}
			if got := ListListeners(os.Getpid()); !slices.Contains(got, addr) {
				t.Errorf("it listens at %s, found is %v", addr, got)
			}
			l.Close()
			if got := FindListener(addr); got != "" {
				t.Errorf("after it was closed: %q", got)
			}
			if got := ListListeners(os.Getpid()); slices.Contains(got, addr) {
				t.Errorf("after it was closed: %v", got)
			}
		})
	}
}
