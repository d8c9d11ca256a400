package supervise

import (
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// A warning is told once, shows as long as it holds, and may be told again when it was over.
func TestWarnings(t *testing.T) {
	const limit = 100_000_000
	const looks = int(cpuOver / guardEvery)
	all := guardEvery * time.Duration(runtime.NumCPU()) // of the processor, between two looks
	tests := []struct {
		name   string
		looks  func(look func(cpu time.Duration, memory int64))
		said   []string // events, in order
		hot    bool
		large  bool
		memory int64
	}{
		{"little", func(look func(time.Duration, int64)) {
			for range 30 {
				look(all*80/100, limit*89/100)
			}
		}, nil, false, false, limit},
		{"memory at 90 %", func(look func(time.Duration, int64)) { look(0, limit*90/100) },
			[]string{"warning: it uses 90.0 MB, 90 % of its memory limit"}, false, true, limit},
		{"memory that sinks a little", func(look func(time.Duration, int64)) {
			look(0, limit*95/100)
			look(0, limit*81/100)
			look(0, limit*95/100)
		}, []string{"95 % of its memory limit"}, false, true, limit},
		{"memory that sinks and grows", func(look func(time.Duration, int64)) {
			look(0, limit*95/100)
			look(0, limit*79/100)
			look(0, limit*91/100)
		}, []string{"95 % of its memory limit", "91 % of its memory limit"}, false, true, limit},
		{"memory without a limit", func(look func(time.Duration, int64)) { look(0, 1<<40) }, nil, false, false, 0},
		{"all processors for too short", func(look func(time.Duration, int64)) {
			for range looks {
				look(all, 0)
			}
		}, nil, false, false, limit},
		{"85 % of them for 10 s", func(look func(time.Duration, int64)) {
			for range looks + 5 {
				look(all*86/100, 0)
			}
		}, []string{"warning: it uses 86 % of all processors"}, true, false, limit},
		{"and then rest", func(look func(time.Duration, int64)) {
			for range looks + 1 {
				look(all, 0)
			}
			for range looks {
				look(0, 0)
			}
		}, []string{"100 % of all processors"}, false, false, limit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log := slog.New(slog.NewJSONHandler(io.Discard, nil))
			h := &Deps{Store: state.NewStore(log, state.NewHistory(t.TempDir()+"/events", t.TempDir()+"/earlier", log), func(string, []byte) {})}
			p := newProcess(h, nil, processfile.Process{Name: "p", Instances: 1, Limits: processfile.Limits{Memory: test.memory}}, nil)
			h.Store.Reset(p.initialRows())
			i, k, u, used := p.Instances()[0], &Child{Handle: keeper.Child{PID: 7}}, &instanceUsage{pid: 7}, time.Duration(0)
			now := time.Now()
			test.looks(func(cpu time.Duration, memory int64) {
				used += cpu
				now = now.Add(guardEvery)
				u.check(i, proc.Stat{CPU: used, Memory: memory}, k, now)
			})
			changes, _ := h.Store.Changes(0)
			if len(changes.Events) != len(test.said) {
				t.Fatalf("events: %+v", changes.Events)
			}
			for n, e := range changes.Events {
				if !strings.Contains(e.Reason, test.said[n]) || e.From != e.To || e.To != control.Stopped || e.PID != 7 {
					t.Errorf("event %+v, want %q", e, test.said[n])
				}
			}
			if i.Hot.Load() != test.hot || i.Large.Load() != test.large {
				t.Errorf("shown: hot %v, large %v", i.Hot.Load(), i.Large.Load())
			}
			if i.clearWarnings(); i.Hot.Load() || i.Large.Load() {
				t.Error("the warning outlives the process")
			}
		})
	}
}
