package receive

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
)

func newHome(t *testing.T) home.Home {
	t.Helper()
	h := home.Home(t.TempDir())
	if err := h.CreateDirs(); err != nil {
		t.Fatal(err)
	}
	return h
}

// holderOf returns the holder of a deploy by ann. Without an ID it is a session that does not deploy.
func holderOf(id string) lockHolder {
	return lockHolder{Entry: audit.Entry{ID: id, Kind: audit.KindDeploy, User: "ann", Addr: "10.0.0.1", ClaimedUser: "Ann"}, Since: time.Now(), PID: os.Getpid()}
}

func acquire(t *testing.T, h home.Home, id string) *deployLock {
	t.Helper()
	l, err := acquireLock(t.Context(), h, holderOf(id), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAcquireLockWithoutHome(t *testing.T) {
	_, err := acquireLock(t.Context(), home.Home(t.TempDir()+"/none"), holderOf("1"), true, nil)
	if !errors.Is(err, control.ErrNotRunning) || !strings.Contains(err.Error(), "start it there with pgo up") {
		t.Errorf("the error is %v", err)
	}
}

func TestAcquireLockWhileHeld(t *testing.T) {
	errReport := errors.New("the session is lost")
	tests := []struct {
		name    string
		wait    bool
		report  error
		cancel  bool
		release bool // the holder releases the lock once the wait is reported
		want    error
	}{
		{name: "it is refused", want: ErrLocked},
		{name: "it waits", wait: true, release: true},
		{name: "the session is lost before the wait", wait: true, report: errReport, want: errReport},
		{name: "the session is lost while it waits", wait: true, cancel: true, want: context.Canceled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHome(t)
			held := acquire(t, h, "first")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var reports []string
			l, err := acquireLock(ctx, h, holderOf("second"), test.wait, func(text string) error {
				reports = append(reports, text)
				if test.cancel {
					cancel()
				}
				if test.release {
					held.unlock()
				}
				return test.report
			})
			if !errors.Is(err, test.want) {
				t.Fatalf("the error is %v, want %v", err, test.want)
			}
			const holder = "deploy by ann since "
			switch {
			case !test.wait && !strings.Contains(err.Error(), holder):
				t.Errorf("%q does not name the holder", err)
			case test.wait && (len(reports) != 1 || !strings.HasPrefix(reports[0], "waits for another deploy: "+holder) || !strings.HasSuffix(reports[0], " from 10.0.0.1 (says Ann)")):
				t.Errorf("the reports are %q", reports)
			}
			if l != nil {
				defer l.unlock()
				if l.holder.Killed != nil {
					t.Errorf("a holder that released the lock counts as killed: %+v", l.holder.Killed)
				}
			}
		})
	}
}

// A killed holder's deploy gets into the audit log as refused, through however many holders it takes.
func TestClearStale(t *testing.T) {
	tests := []struct {
		name   string
		killed []string // IDs of holders that were killed, one after the other; "" does not deploy
		logged []string // IDs that are in the audit log already
		want   []string // IDs that are added, in order
	}{
		{name: "none"},
		{name: "one", killed: []string{"1"}, want: []string{"1"}},
		{name: "the manager logged it", killed: []string{"1"}, logged: []string{"1"}},
		{name: "two in a row", killed: []string{"1", "2"}, want: []string{"2", "1"}},
		{name: "one of two is logged", killed: []string{"1", "2"}, logged: []string{"2"}, want: []string{"1"}},
		{name: "one that did not deploy", killed: []string{""}},
		{name: "one that did not deploy, after a deploy", killed: []string{"1", ""}, want: []string{"1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHome(t)
			for _, id := range test.killed {
				acquire(t, h, id).file.Close() // as the kernel does
			}
			for _, id := range test.logged {
				if err := h.AuditLog().Append(audit.Entry{ID: id, Result: audit.Done}); err != nil {
					t.Fatal(err)
				}
			}
			l := acquire(t, h, "next")
			if err := l.clearStale(); err != nil {
				t.Fatal(err)
			}
			l.unlock()
			if diff := cmp.Diff(test.want, refusedIDs(t, h)); diff != "" {
				t.Error(diff)
			}
			// Nothing is left to the next holder.
			l = acquire(t, h, "last")
			defer l.unlock()
			if l.holder.Killed != nil {
				t.Errorf("left: %+v", l.holder.Killed)
			}
		})
	}
}

// refusedIDs returns the IDs of the refused deploys in the audit log, the earliest first.
func refusedIDs(t *testing.T, h home.Home) []string {
	t.Helper()
	entries, err := h.AuditLog().List()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range entries {
		if e.Result == audit.Refused {
			if e.Reason != "its process on the host was killed before anything was changed" || e.Ended.IsZero() {
				t.Errorf("the entry is %+v", e)
			}
			ids = append([]string{e.ID}, ids...)
		}
	}
	return ids
}

// A holder that ends before it has cleared a killed one leaves that to the next holder.
func TestUnlockLeavesStale(t *testing.T) {
	h := newHome(t)
	acquire(t, h, "killed").file.Close()
	acquire(t, h, "second").unlock()
	l := acquire(t, h, "third")
	defer l.unlock()
	if l.holder.Killed == nil || l.holder.Killed.Entry.ID != "killed" || l.holder.Killed.Killed != nil {
		t.Errorf("left: %+v", l.holder.Killed)
	}
}

func TestReadHolder(t *testing.T) {
	tests := []struct {
		name, content, want string
		ok                  bool
	}{
		{name: "empty"},
		{name: "cut off", content: `{"entry":{"id":"1"`},
		{name: "not JSON", content: "deploy by ann"},
		{name: "of an earlier version", content: `{"entry":{"id":"1","kind":"deploy","by":"ann"},"since":"2026-01-02T03:04:05Z","pid":1,"before":{"entry":{"id":"0"}}}`, want: "1", ok: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHome(t)
			if err := os.WriteFile(h.DeployLockPath(), []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(h.DeployLockPath())
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			holder, ok := readHolder(f)
			if ok != test.ok || ok && (holder.Entry.ID != test.want || holder.Entry.User != "ann" || holder.Killed.Entry.ID != "0") {
				t.Errorf("%+v, %v", holder, ok)
			}
		})
	}
}
