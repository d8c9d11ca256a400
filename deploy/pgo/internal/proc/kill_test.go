package proc

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKillRefusesInvalidPID sends signal 0, which delivers nothing: a broken guard does no harm here.
func TestKillRefusesInvalidPID(t *testing.T) {
	const none = syscall.Signal(0)
	for _, pid := range []int{1, 0, -1, -2, -1 << 31} {
		for name, err := range map[string]error{
			"Kill": Kill(pid, none), "KillGroup": KillGroup(pid, none), "Stat.Signal": Stat{PID: pid}.Signal(none),
		} {
			if err == nil || !strings.Contains(err.Error(), "of ours") {
				t.Errorf("%s(%d): %v", name, pid, err)
			}
		}
	}
	if all, _ := SessionMembers(0, -1); len(all[0]) > 0 || len(all[-1]) > 0 {
		t.Errorf("members of a session of no one: %v", all)
	}
}

// Descendants are found whatever group and session they are in. Others of the same parent are left alone.
func TestKillDescendants(t *testing.T) {
	root := exec.Command("sh", "-c", "sleep 60 & setsid sleep 60 & echo; wait")
	out, err := root.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command("sleep", "60")
	for _, cmd := range []*exec.Cmd{root, other} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // both were started
		t.Fatal(err)
	}
	killed := KillDescendants(root.Process.Pid, time.Minute)
	if len(killed) != 2 {
		t.Errorf("killed %+v", killed)
	}
	if s, err := ReadStat(other.Process.Pid); err != nil || s.Zombie {
		t.Errorf("another child of the same parent: %+v, %v", s, err)
	}
}
