package rollout

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
)

// fakeBackend runs nothing: it writes down which steps a rollout takes, and fails where it is told to.
type fakeBackend struct {
	t       *testing.T
	journal string
	after   map[string][]string
	running map[string]string // release by process
	fail    map[string]error  // by step, as "switch user"
	cancel  map[string]func() // called at a step

	mu    sync.Mutex // guards the fields below
	steps []string
	entry audit.Entry
}

func (b *fakeBackend) step(step string) error {
	b.mu.Lock()
	b.steps = append(b.steps, step)
	b.mu.Unlock()
	if cancel := b.cancel[step]; cancel != nil {
		cancel()
	}
	return b.fail[step]
}

// phase returns the phase of the journal on the disk.
func (b *fakeBackend) phase() Phase {
	j, err := ReadJournal(b.journal)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		b.t.Error(err)
		return ""
	}
	return j.Phase
}

func (b *fakeBackend) FindRollbackSet(context.Context, string, string) ([]audit.Change, error) {
	return []audit.Change{{Process: "user", To: audit.Release{SHA256: "old"}}}, b.step("find set")
}

func (b *fakeBackend) OpenTarget(_ context.Context, r *Rollout, process, sha256 string) (Target, error) {
	s := &fakeTarget{backend: b, rollout: r, name: process, from: b.running[process], to: sha256}
	return s, b.step("open " + process)
}

func (b *fakeBackend) Levels(targets []Target) [][]Target {
	return SortByLevel(targets, func(process string) []string { return b.after[process] })
}

func (b *fakeBackend) AskGates(_ context.Context, _ []Target, report func(gate, text string)) error {
	report("gate", "lets them run")
	return b.step("ask gates")
}

func (b *fakeBackend) PlanGates(context.Context, []Target, func(gate, text string)) error {
	return b.step("plan gates")
}

func (b *fakeBackend) AskGatesToRevert([]Target) error { return b.step("ask gates to revert") }

func (b *fakeBackend) Record(e audit.Entry, _ bool) error {
	b.entry = e
	result := string(e.Result)
	if e.Result == audit.RolledBack {
		result = "rolled back"
	}
	return b.step("record " + result)
}

type fakeTarget struct {
	backend        *fakeBackend
	rollout        *Rollout
	name, from, to string
	hasChanged     bool
}

func (s *fakeTarget) Name() string { return s.name }
func (s *fakeTarget) Releases() (from, to audit.Release) {
	return audit.Release{SHA256: s.from}, audit.Release{SHA256: s.to}
}
func (s *fakeTarget) Label() string                      { return s.to }
func (s *fakeTarget) CheckRelease(context.Context) error { return s.backend.step("check " + s.name) }
func (s *fakeTarget) NeedsSwitch() bool                  { return s.from != s.to }
func (s *fakeTarget) Stage(context.Context) error        { return s.backend.step("stage " + s.name) }
func (s *fakeTarget) Unstage()                           { _ = s.backend.step("unstage " + s.name) }
func (s *fakeTarget) Refuse(error)                       { _ = s.backend.step("refuse " + s.name) }
func (s *fakeTarget) DescribeSwitch() string             { return "would run " + s.to }
func (s *fakeTarget) Switch(context.Context) error {
	if got := s.backend.phase(); got != PhaseSwitching {
		s.backend.t.Errorf("%s is switched in phase %q", s.name, got)
	}
	s.hasChanged = true
	return s.fault(s.backend.step("switch " + s.name))
}
func (s *fakeTarget) AwaitProbation(ctx context.Context) error {
	if err := s.fault(s.backend.step("probation " + s.name)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ExplainInterruption(ctx)
	}
	return nil
}
func (s *fakeTarget) CancelProbation() {}
func (s *fakeTarget) Commit() {
	if got := s.backend.phase(); got != PhaseCommitting {
		s.backend.t.Errorf("%s is committed in phase %q", s.name, got)
	}
	_ = s.backend.step("commit " + s.name)
}
func (s *fakeTarget) HasChanged() bool { return s.hasChanged }
func (s *fakeTarget) Revert() error    { return s.backend.step("revert " + s.name) }
func (s *fakeTarget) Keep()            { _ = s.backend.step("keep " + s.name) }
func (s *fakeTarget) MarkBad(error)    { _ = s.backend.step("mark " + s.name) }
func (s *fakeTarget) AddTo(*Journal)   {}
func (s *fakeTarget) Close()           { _ = s.backend.step("close " + s.name) }

func (s *fakeTarget) fault(err error) error {
	if err == nil {
		return nil
	}
	return &Fault{Target: s.name, Release: s.to, Err: err}
}

// newFakeBackend returns a host where task comes after user, and both run "old".
func newFakeBackend(t *testing.T) *fakeBackend {
	return &fakeBackend{
		t: t, journal: filepath.Join(t.TempDir(), "rollout.json"), fail: map[string]error{}, cancel: map[string]func(){},
		after: map[string][]string{"task": {"user"}}, running: map[string]string{"task": "old", "user": "old"},
	}
}

func deployOf(processes ...string) control.RolloutRequest {
	e := audit.Entry{ID: "1", Kind: audit.KindDeploy}
	for _, p := range processes {
		e.Changes = append(e.Changes, audit.Change{Process: p, To: audit.Release{SHA256: "new"}})
	}
	return control.RolloutRequest{Entry: e, Since: time.Now()}
}

func TestRollout(t *testing.T) {
	both := "open task, open user, check, stage, ask gates"
	tests := []struct {
		name    string
		request control.RolloutRequest
		fail    string // step
		want    string // steps; those of both targets at once without the name
		reason  string
	}{
		{"through", deployOf("task", "user"), "",
			both + ", switch user, switch task, probation, commit task, commit user, record done, close", ""},
		{"named twice", deployOf("user", "user"), "", "open user, refuse user, record refused, close user", "user is named twice"},
		{"cannot be locked", deployOf("task", "user"), "open user", "open task, open user, refuse task, refuse user, record refused, close", "failed"},
		{"damaged", deployOf("task", "user"), "check user", "open task, open user, check, refuse task, refuse user, record refused, close", "failed"},
		{"does not work here", deployOf("task", "user"), "stage user", "open task, open user, check, stage, refuse task, refuse user, record refused, close", "failed"},
		{"refused by a gate", deployOf("task", "user"), "ask gates", both + ", refuse task, refuse user, record refused, close", "failed"},
		{"the first does not start", deployOf("task", "user"), "switch user",
			both + ", switch user, ask gates to revert, revert user, unstage task, mark user, unstage user, record rolled back, close", "user: release new: failed"},
		{"the second does not start", deployOf("task", "user"), "switch task",
			both + ", switch user, switch task, ask gates to revert, revert task, revert user, mark task, unstage task, unstage user, record rolled back, close", "task: release new: failed"},
		{"one fails its probation", deployOf("task", "user"), "probation task",
			both + ", switch user, switch task, probation, ask gates to revert, revert task, revert user, mark task, unstage task, unstage user, record rolled back, close", "task: release new: failed"},
		{"it cannot be recorded", deployOf("user"), "record done",
			"open user, check user, stage user, ask gates, switch user, probation user, commit user, record done, close user", "failed"},
		{"rolled back to the last release", control.RolloutRequest{Entry: audit.Entry{Kind: audit.KindRollback}}, "",
			"find set, open user, check user, record done", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newFakeBackend(t)
			if test.fail != "" {
				b.fail[test.fail] = errors.New("failed")
			}
			e := New(b, b.journal, slog.New(slog.DiscardHandler), test.request, func(control.Progress) {}).Run(t.Context())
			if diff := cmp.Diff(expand(test.want), withoutClosed(b.steps, test.name)); diff != "" {
				t.Error(diff)
			}
			if e.Reason != test.reason {
				t.Errorf("reason %q, want %q", e.Reason, test.reason)
			}
			if b.phase() != "" {
				t.Error("a journal is left")
			}
		})
	}
}

// expand sorts the steps that both targets take at once.
func expand(steps string) []string {
	var all []string
	for step := range strings.SplitSeq(steps, ", ") {
		if slices.Contains([]string{"check", "stage", "probation", "close"}, step) {
			all = append(all, step+" task", step+" user")
			continue
		}
		all = append(all, step)
	}
	return all
}

// withoutClosed sorts concurrent steps; a target that needs no switch is closed at once.
func withoutClosed(steps []string, name string) []string {
	verb := func(s string) string { v, _, _ := strings.Cut(s, " "); return v }
	all := slices.Clone(steps)
	for i := 1; i < len(all); i++ {
		for k := i; k > 0 && verb(all[k]) == verb(all[k-1]) && slices.Contains([]string{"check", "stage", "probation", "close"}, verb(all[k])) && all[k] < all[k-1]; k-- {
			all[k], all[k-1] = all[k-1], all[k]
		}
	}
	if name == "rolled back to the last release" {
		all = slices.DeleteFunc(all, func(s string) bool { return s == "close user" })
	}
	return all
}

// What a gate does not let run any more stays, and the reason is recorded.
func TestRolloutThatMayNotGoBack(t *testing.T) {
	b := newFakeBackend(t)
	b.fail["switch user"], b.fail["ask gates to revert"] = errors.New("exit code 1"), errors.New("gate: no")
	e := New(b, b.journal, slog.New(slog.DiscardHandler), deployOf("user"), func(control.Progress) {}).Run(t.Context())
	if e.Result != audit.NotRolledBack || e.Reason != "user: release new: exit code 1; not rolled back, since gate: no" {
		t.Errorf("%s: %s", e.Result, e.Reason)
	}
	if !slices.Contains(b.steps, "keep user") || slices.Contains(b.steps, "revert user") {
		t.Errorf("steps %v", b.steps)
	}
}

// A caller that goes away during the probation has everything rolled back, and no release is marked bad for it.
func TestRolloutWhoseCallerIsGone(t *testing.T) {
	b := newFakeBackend(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.cancel["probation user"] = cancel
	e := New(b, b.journal, slog.New(slog.DiscardHandler), deployOf("user"), func(control.Progress) {}).Run(ctx)
	if e.Result != audit.RolledBack || !strings.Contains(e.Reason, "connection to who deploys was lost") {
		t.Errorf("%s: %s", e.Result, e.Reason)
	}
	if !slices.Contains(b.steps, "revert user") || slices.Contains(b.steps, "mark user") {
		t.Errorf("steps %v", b.steps)
	}
}

// A check asks the gates what they would do, and touches nothing.
func TestCheckOnly(t *testing.T) {
	b := newFakeBackend(t)
	request := deployOf("task", "user")
	request.CheckOnly = true
	var plan []string
	e := New(b, b.journal, slog.New(slog.DiscardHandler), request, func(p control.Progress) {
		if p.Step == "plan" {
			plan = append(plan, p.Process+" "+p.Text)
		}
	}).Run(t.Context())
	if diff := cmp.Diff([]string{"user would run new", "task would run new"}, plan); diff != "" || e.Result != audit.Done {
		t.Error(e.Result, diff)
	}
	if slices.Contains(b.steps, "ask gates") || slices.Contains(b.steps, "switch user") {
		t.Errorf("steps %v", b.steps)
	}
}

func TestSortByLevel(t *testing.T) {
	tests := []struct {
		name    string
		after   map[string][]string
		targets []string
		want    [][]string
	}{
		{"independent", nil, []string{"b", "a"}, [][]string{{"b", "a"}}},
		{"one after the other", map[string][]string{"b": {"a"}}, []string{"b", "a"}, [][]string{{"a"}, {"b"}}},
		{"through one that is no target", map[string][]string{"c": {"b"}, "b": {"a"}}, []string{"c", "a"}, [][]string{{"a"}, {"c"}}},
		{"after something unknown", map[string][]string{"a": {"gate"}}, []string{"a", "b"}, [][]string{{"a", "b"}}},
		{"a diamond", map[string][]string{"d": {"b", "c"}, "b": {"a"}, "c": {"a"}}, []string{"d", "c", "b", "a"}, [][]string{{"a"}, {"c", "b"}, {"d"}}},
		{"none", nil, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var targets []Target
			for _, name := range test.targets {
				targets = append(targets, &fakeTarget{name: name})
			}
			var got [][]string
			for _, level := range SortByLevel(targets, func(name string) []string { return test.after[name] }) {
				var names []string
				for _, target := range level {
					names = append(names, target.Name())
				}
				got = append(got, names)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadJournal(t *testing.T) {
	tests := []struct {
		name, text string
		phase      Phase
		fails      bool
	}{
		{"switching", `{"phase":"switching","entry":{"id":"1"},"files":{"user":{"path":"/a","to":"/b"}}}`, PhaseSwitching, false},
		{"committing", `{"phase":"committing","entry":{"id":"1"}}`, PhaseCommitting, false},
		{"of an earlier pgo under systemd", `{"entry":{"id":"1"},"pids":{"user.service":7}}`, PhaseSwitching, false},
		{"half a file", `{"phase":`, "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := ReadJournal(path)
			if (err != nil) != test.fails {
				t.Fatal(err)
			}
			if err == nil && (j.Phase != test.phase || j.Entry.ID != "1") {
				t.Errorf("read %+v", j)
			}
		})
	}
	if _, err := ReadJournal(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no journal: %v", err)
	}
}

// What someone else has deployed meanwhile is not written over.
func TestPlaceStagedFile(t *testing.T) {
	for _, isReplaced := range []bool{false, true} {
		dir := t.TempDir()
		program, deployed := filepath.Join(dir, "store"), filepath.Join(dir, "user")
		for path, text := range map[string]string{program: "new", deployed: "old", filepath.Join(dir, ".pgo-user-earlier"): "left over"} {
			if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Stage(deployed, program, "2026/../x")
		if err != nil {
			t.Fatal(err)
		}
		want := "new"
		if isReplaced {
			want = "someone else's"
			if err := os.WriteFile(deployed, []byte(want), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Place(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(deployed)
		left, _ := filepath.Glob(filepath.Join(dir, ".pgo-*"))
		if err != nil || string(text) != want || len(left) > 0 {
			t.Errorf("deployed is %q, %v; left %v", text, err, left)
		}
	}
}
