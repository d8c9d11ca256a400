package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
)

// phase is how far a rollout is.
type phase string

const (
	switching  phase = "switching"  // whoever finds it puts all back
	committing phase = "committing" // whoever finds it has all be live
)

// journal is what the next manager has to know of a rollout.
type journal struct {
	Phase phase             `json:"phase"`
	Entry audit.Entry       `json:"entry"`
	Since time.Time         `json:"since"`
	Files map[string]staged `json:"files"` // by process
}

// note writes down how far the rollout is.
func (r *rollout) note(p phase) error {
	j := journal{Phase: p, Entry: r.entry, Since: r.ask.Since, Files: map[string]staged{}}
	for _, p := range r.parts {
		j.Files[p.process.Name] = p.file
	}
	text, err := json.Marshal(j)
	if err == nil {
		err = home.ReplaceFile(r.Manager.host.Home.RolloutPath(), text)
	}
	if err != nil {
		err = fmt.Errorf("write down how far the deploy is: %w", err)
		if r.entry.Kind == audit.KindRollback {
			r.Manager.host.Log.Warn("a rollback goes on without room", "error", err)
			return nil
		}
	}
	return err
}

// forget ends the journal.
func (r *rollout) forget() { forgetRollout(r.Manager.host.Home) }

func forgetRollout(h home.Home) { _ = os.Remove(h.RolloutPath()) }

// commit has the set be the live one.
func (r *rollout) commit() error {
	if err := r.note(committing); err != nil {
		return err
	}
	for _, p := range r.parts {
		p.target.cancelProbation()
		r.Manager.host.Log.Info("release is live", "process", p.process.Name, "release", p.to.String())
		live(r.Manager.host, r.entry.Kind, r.Manager.host.Releases(p.process.Spec()), p.process.Name, p.from.SHA256, p.to.SHA256, p.file)
		if r.entry.Kind == audit.KindDeploy {
			r.Manager.deploys.taken(p.process.Name, time.Since(r.ask.Since))
		}
		r.Manager.host.Store.Announce(p.process.Name, fmt.Sprintf("release %s is live", p.to), func(r *state.Record) { r.Process.DeployFailure = "" })
	}
	r.forget()
	return nil
}

// live has a release be the live one. What does not work, as on a full disk, is only told: the release runs.
func live(h *supervise.Deps, kind string, store *release.Store, name, from, to string, file staged) {
	ctx := context.Background()
	err := store.SetCurrent(ctx, name, to)
	if kind == audit.KindDeploy {
		err = errors.Join(err, store.MarkPassed(ctx, name, to))
	} else if left, unknown := store.Find(name, from); unknown == nil && left.Record.FailedAt == nil {
		err = errors.Join(err, store.MarkFailed(ctx, name, from, byCommand))
	}
	if err = errors.Join(err, file.place()); err != nil {
		h.Log.Error("have a release be the live one", "process", name, "error", err)
	}
}

// unfinished is the rollout that the manager before has not ended. One that was through is made live here, before
// anything else is done.
func (m *Manager) unfinished() *journal {
	text, err := os.ReadFile(m.host.Home.RolloutPath())
	if err != nil {
		return nil // there is none
	}
	j := &journal{}
	if err := json.Unmarshal(text, j); err != nil {
		m.host.Log.Error("read how far a deploy was", "error", err)
		forgetRollout(m.host.Home)
		return nil
	}
	if j.Phase != committing {
		return j
	}
	for _, c := range j.Entry.Changes {
		if file, changed := j.Files[c.Process]; changed {
			live(m.host, j.Entry.Kind, &release.Store{Dir: m.host.Home.ReleaseDir(), Log: m.host.Log}, c.Process, c.From.SHA256, c.To.SHA256, file)
		}
	}
	r := &rollout{Manager: m, ask: control.RolloutRequest{Since: j.Since}, entry: j.Entry}
	r.ended(audit.Done, nil)
	forgetRollout(m.host.Home)
	return nil
}

// recoverRollout puts back what the manager before had begun. It returns at once where nothing runs of it.
func (m *Manager) recoverRollout(j *journal, resumed bool) {
	why := errors.New("pgo's manager ended in the middle of it")
	r := &rollout{Manager: m, ask: control.RolloutRequest{Since: j.Since}, entry: j.Entry, say: func(control.Progress) {}}
	m.turn <- struct{}{} // nobody else has it yet
	if !resumed {
		for _, file := range j.Files {
			file.drop()
		}
		r.forget()
		r.ended(audit.RolledBack, why)
		<-m.turn
		return
	}
	for _, c := range j.Entry.Changes {
		p := m.set.Lookup(c.Process)
		if _, changed := j.Files[c.Process]; !changed || p == nil {
			continue
		}
		m.target(p).deploying.Lock()
		part := &part{process: p, target: m.target(p), file: j.Files[c.Process]}
		part.from, part.unfit = p.Program() // the store says that it is live
		if part.unfit != nil {
			part.from = supervise.Program{}
		}
		if to, err := m.host.Releases(p.Spec()).Find(p.Name, c.To.SHA256); err == nil {
			part.to = supervise.ProgramOf(to)
		}
		r.parts = append(r.parts, part)
	}
	go func() {
		defer func() { <-m.turn }()
		defer r.free()
		r.putBack(why)
	}()
}

// staged is a copy of a program beside where it is deployed, that only has to be renamed.
type staged struct {
	Path string   `json:"path"` // empty where there is none
	To   string   `json:"to"`
	was  *fileIDs // what was there
}

type fileIDs struct {
	ino           uint64
	size          int64
	written, made syscall.Timespec
}

func idsOf(path string) *fileIDs {
	var s syscall.Stat_t
	if syscall.Stat(path, &s) != nil {
		return nil
	}
	return &fileIDs{s.Ino, s.Size, s.Mtim, s.Ctim}
}

// stagedPrefix is how the names of such copies begin, before the name of the file.
const stagedPrefix = ".pgo-"

// stage copies a release.
func stage(to, from, id string) (staged, error) {
	path := filepath.Join(filepath.Dir(to), stagedPrefix+filepath.Base(to)+"-"+strings.Map(plain, id))
	s := staged{Path: path, To: to, was: idsOf(to)}
	in, err := os.Open(from)
	if err != nil {
		return staged{}, fmt.Errorf("copy a release to where it is deployed: %w", err)
	}
	defer in.Close()
	if old, err := filepath.Glob(filepath.Join(filepath.Dir(to), stagedPrefix+filepath.Base(to)+"-*")); err == nil {
		for _, path := range old { // of a pgo that was killed
			_ = os.Remove(path)
		}
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return staged{}, fmt.Errorf("copy a release to where it is deployed: %w", err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		_ = os.Remove(path)
		return staged{}, fmt.Errorf("copy a release to where it is deployed: %w", err)
	}
	return s, nil
}

func plain(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' {
		return r
	}
	return -1
}

// place puts the copy where it is deployed, in one step. What somebody else has put there meanwhile stays: the watch
// takes it as it would at any time.
func (s staged) place() error {
	if s.Path == "" {
		return nil
	}
	if now := idsOf(s.To); s.was != nil && now != nil && *now != *s.was {
		s.drop()
		return nil
	}
	if err := os.Rename(s.Path, s.To); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("put a release to where it is deployed: %w", err)
	}
	return nil
}

// drop removes the copy.
func (s staged) drop() {
	if s.Path != "" {
		_ = os.Remove(s.Path)
	}
}

func (r *rollout) unstage() {
	for _, p := range r.parts {
		p.file.drop()
	}
}
