package proc

import (
	"strings"
	"syscall"
	"testing"
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
	if all := SessionMembers(0, -1); len(all[0]) > 0 || len(all[-1]) > 0 {
		t.Errorf("members of a session of no one: %v", all)
	}
}
