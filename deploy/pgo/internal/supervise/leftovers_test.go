package supervise

import (
	"encoding/json"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
)

// A pid that has another owner now is never touched, whatever the state file says.
func TestLeftoversAreTheVeryProcesses(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	is, err := proc.ReadStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	right := Leftover{
		Name: "p", PID: is.PID, Start: is.Start, Boot: proc.ReadBootID(),
		Stop: processfile.Stop{Signal: "SIGTERM", Timeout: 10 * time.Second},
	}
	tests := []struct {
		name   string
		change func(*Leftover)
		found  int
	}{
		{"started later", func(l *Leftover) { l.Start-- }, 0},
		{"started before", func(l *Leftover) { l.Start++ }, 0},
		{"another boot", func(l *Leftover) { l.Boot = "other" }, 0},
		{"no pid", func(l *Leftover) { l.PID = 0 }, 0},
		{"init", func(l *Leftover) { l.PID = 1 }, 0},
		{"the process itself", func(*Leftover) {}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := right
			test.change(&l)
			h := home.Home(t.TempDir())
			if err := h.CreateDirs(); err != nil {
				t.Fatal(err)
			}
			content, err := json.Marshal(map[string]Leftover{"p": l})
			if err != nil {
				t.Fatal(err)
			}
			if err := home.ReplaceFile(h.ProcessesPath(), content); err != nil {
				t.Fatal(err)
			}
			left, err := Leftovers(h)
			if err != nil || len(left) != test.found {
				t.Fatalf("found %v, %v", left, err)
			}
			l.terminate(h)
			if test.found > 0 {
				<-ended
				return
			}
			if now, err := proc.ReadStat(is.PID); err != nil || now.Zombie {
				t.Fatal("another process was stopped")
			}
		})
	}
}

func TestBrokenStateFile(t *testing.T) {
	h := home.Home(t.TempDir())
	if left, err := Leftovers(h); len(left) != 0 || err != nil {
		t.Errorf("no state file: %v, %v", left, err)
	}
	if err := h.CreateDirs(); err != nil {
		t.Fatal(err)
	}
	if err := home.ReplaceFile(h.ProcessesPath(), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := Leftovers(h); err == nil {
		t.Error("half a state file is taken for one")
	}
}
