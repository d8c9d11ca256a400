package state

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgo/deploy/pgo/internal/control"
)

// newTestStore returns a store of two instances of user and one of gate, and what it has kept.
func newTestStore(t *testing.T) (*Store, map[string][]byte) {
	t.Helper()
	kept := map[string][]byte{}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	dir := t.TempDir()
	s := NewStore(log, NewHistory(filepath.Join(dir, "events"), filepath.Join(dir, "earlier"), log), func(key string, data []byte) {
		if data == nil {
			delete(kept, key)
			return
		}
		kept[key] = data
	})
	s.Reset([]control.Process{{Name: "gate", Instances: 1}, {Name: "user", Instances: 2}, {Name: "user", Instance: 1, Instances: 2}})
	return s, kept
}

func TestTransitionReady(t *testing.T) {
	id := InstanceID{"user", 0}
	tests := []struct {
		name  string
		steps []control.State
		done  bool
		ready bool
	}{
		{"starting", []control.State{control.Starting}, false, false},
		{"ready", []control.State{control.Starting, control.Ready}, false, true},
		{"reloading serves as before", []control.State{control.Ready, control.Reloading}, false, true},
		{"reloading what never was ready", []control.State{control.Starting, control.Reloading}, false, false},
		{"ended", []control.State{control.Ready, control.Stopped}, false, false},
		{"a one-shot that has ended well", []control.State{control.Starting, control.Stopped}, true, true},
		{"a one-shot that has failed", []control.State{control.Starting, control.Failed}, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newTestStore(t)
			for _, to := range test.steps {
				s.Transition(id, to, "why", func(r *Record) { r.Done = test.done })
			}
			if got := s.Get(id); got.Process.Ready != test.ready || got.Process.Reason != "why" {
				t.Errorf("ready %v, reason %q; want ready %v", got.Process.Ready, got.Process.Reason, test.ready)
			}
		})
	}
}

func TestFirstUnready(t *testing.T) {
	s, _ := newTestStore(t)
	s.Transition(InstanceID{"gate", 0}, control.Ready, "")
	s.Transition(InstanceID{"user", 0}, control.Ready, "")
	s.Transition(InstanceID{"user", 1}, control.Starting, "")
	tests := []struct {
		name   string
		names  []string
		want   string
		status control.State
	}{
		{"no names", nil, "", control.Ready},
		{"all ready", []string{"gate"}, "", control.Ready},
		{"the second instance", []string{"gate", "user"}, "user", control.Starting},
		{"unknown", []string{"gate", "none"}, "none", control.Stopped},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if p, _ := s.FirstUnready(test.names); p.Name != test.want || p.Status != test.status {
				t.Errorf("got %q, %s", p.Name, p.Status)
			}
		})
	}
}

// Whoever waits is woken by every change, and finds it.
func TestChangesWake(t *testing.T) {
	id := InstanceID{"user", 0}
	changes := map[string]func(*Store){
		"Transition":   func(s *Store) { s.Transition(id, control.Starting, "") },
		"SetMessage":   func(s *Store) { s.SetMessage(id, "busy") },
		"PublishEvent": func(s *Store) { s.PublishEvent(id, 7, control.Ready, control.Draining, "") },
		"Announce":     func(s *Store) { s.Announce("user", "news", nil) },
		"Update":       func(s *Store) { s.Update(id, func(r *Record) { r.Wanted = true }) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s, _ := newTestStore(t)
			before, changed := s.Changes(0)
			change(s)
			select {
			case <-changed:
			default:
				t.Fatal("no one is woken")
			}
			if now, _ := s.Changes(before.Seq); now.Seq != before.Seq+1 || name != "Update" && len(now.Events) != 1 {
				t.Errorf("seq %d after %d, events %+v", now.Seq, before.Seq, now.Events)
			}
		})
	}
}

// A follower that is far behind misses events; the newest are always there.
func TestEventsAreBounded(t *testing.T) {
	s, _ := newTestStore(t)
	for range 3 * maxEvents {
		s.Announce("user", "news", nil)
	}
	c, _ := s.Changes(0)
	if len(c.Events) > maxEvents || c.Events[len(c.Events)-1].Seq != c.Seq {
		t.Errorf("%d events, the last is %d of %d", len(c.Events), c.Events[len(c.Events)-1].Seq, c.Seq)
	}
}

// The next manager finds every record again, and no event gets a number twice.
func TestRestore(t *testing.T) {
	before, kept := newTestStore(t)
	id := InstanceID{"user", 1}
	before.Transition(id, control.Ready, "why", func(r *Record) { r.Wanted, r.Process.PID, r.Process.Draining = true, 7, []int{6} })
	kept["process/odd"], kept["process/user/x"], kept["process/gate/0"] = []byte("{}"), []byte("{}"), []byte("{")
	kept["file"] = []byte("{}")
	after, _ := newTestStore(t)
	after.Restore(kept)
	got := after.Get(id)
	if !got.Wanted || got.Process.PID != 7 || got.Process.Status != control.Ready || len(got.Process.Draining) != 0 {
		t.Errorf("restored %+v", got)
	}
	was, _ := before.Changes(0)
	if is, _ := after.Changes(0); is.Seq < was.Seq {
		t.Errorf("the sequence goes back from %d to %d", was.Seq, is.Seq)
	}
}

func TestResetForgetsWhatIsGone(t *testing.T) {
	s, kept := newTestStore(t)
	s.Transition(InstanceID{"gate", 0}, control.Ready, "", func(r *Record) { r.Process.PID = 7 })
	s.Reset([]control.Process{{Name: "gate", Instances: 1, Kind: "gate"}})
	if got := s.Get(InstanceID{"gate", 0}); got.Process.Status != control.Ready || got.Process.Kind != "gate" {
		t.Errorf("a known instance: %+v", got)
	}
	if len(s.Processes()) != 1 || kept["process/user/0"] != nil || kept["process/user/1"] != nil {
		t.Errorf("kept %d keys, %d processes", len(kept), len(s.Processes()))
	}
}

func TestTail(t *testing.T) {
	tests := []struct {
		name   string
		writes []string
		want   []string
	}{
		{"nothing", nil, []string{}},
		{"only line ends", []string{"\n\n"}, []string{}},
		{"a line in pieces", []string{"one ", "line\n"}, []string{"one line"}},
		{"the last lines", []string{strings.Repeat("old\n", 50), "new\n"}, append(slicesRepeat("old", maxTailLines-1), "new")},
		{"a line longer than is kept", []string{strings.Repeat("x", 3*maxTailBytes)}, []string{strings.Repeat("x", maxTailBytes)}},
		{"bytes that are no text", []string{"a\xffb"}, []string{"a?b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tail := &Tail{}
			for _, w := range test.writes {
				if n, err := tail.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatal(n, err)
				}
			}
			if diff := cmp.Diff(test.want, tail.Lines()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func slicesRepeat(s string, n int) (all []string) {
	for range n {
		all = append(all, s)
	}
	return all
}

func TestCounters(t *testing.T) {
	type counter struct{ N int }
	kept := map[string][]byte{}
	keep := func(key string, data []byte) { kept[key] = data }
	c := NewCounters[counter]("runs/", keep)
	for range 3 {
		c.Update("user", func(of *counter) { of.N++ })
	}
	kept["runs/broken"], kept["process/user"] = []byte("{"), []byte(`{"N":9}`)
	next := NewCounters[counter]("runs/", keep)
	next.Restore(kept)
	for name, want := range map[string]int{"user": 3, "broken": 0, "none": 0} {
		next.Read(name, func(of counter) {
			if of.N != want {
				t.Errorf("%s: %d, want %d", name, of.N, want)
			}
		})
	}
}

// A full file becomes the earlier one, and no line is lost or cut.
func TestHistoryRotates(t *testing.T) {
	dir := t.TempDir()
	path, earlier := filepath.Join(dir, "events"), filepath.Join(dir, "earlier")
	h := NewHistory(path, earlier, slog.New(slog.NewTextHandler(io.Discard, nil)))
	e := control.Event{Process: "user", Reason: strings.Repeat("x", 64<<10)}
	const events = maxHistory/(64<<10) + 5
	for n := range events {
		e.Seq = int64(n)
		h.Append(e)
	}
	lines := 0
	for _, file := range []string{earlier, path} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > maxHistory {
			t.Errorf("%s has %d bytes", file, len(text))
		}
		for d := json.NewDecoder(strings.NewReader(string(text))); ; lines++ {
			if err := d.Decode(&e); errors.Is(err, io.EOF) {
				break
			} else if err != nil || e.Seq != int64(lines) {
				t.Fatalf("line %d: %v, event %d", lines, err, e.Seq)
			}
		}
	}
	if lines != events {
		t.Errorf("%d lines of %d", lines, events)
	}
}
