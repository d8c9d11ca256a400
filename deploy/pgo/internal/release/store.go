package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// Store keeps releases in a directory: for the process NAME, the programs NAME/SHA256 with their records NAME/SHA256.json.
//
// A program gets its name once it is synced to disk and verified; a kill or a power loss at any moment leaves the earlier
// releases intact, and the next Add removes unfinished copies. A store is safe for concurrent use by any number of processes
// and goroutines. The zero value of every field but Dir is the default.
type Store struct {
	Dir      string       // PGO_HOME/releases
	Keep     int          // maximum number of releases of a process; 5
	MaxBytes int64        // maximum size of them in bytes; 512 MiB
	Platform Platform     // required platform; this machine
	Log      *slog.Logger // for failures after a release was added; none

	onStep func(name string) // a hook of tests
}

const (
	defaultKeep  = 5
	defaultBytes = 512 << 20
)

// ErrUnknown is returned for a release that the store does not have.
var ErrUnknown = errors.New("no such release")

// ErrChanged is returned for a release whose program differs from what was stored. It must not run.
var ErrChanged = errors.New("the stored program was changed or removed")

var processName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

func (s *Store) processDir(name string) (string, error) {
	if !processName.MatchString(name) {
		return "", fmt.Errorf("%q cannot be the name of a process", name)
	}
	return filepath.Join(s.Dir, name), nil
}

// Add copies a file into the store if Verify accepts the copy, so later changes of the file do not matter. A release that the
// store has already keeps its state and counts as the newest. Then Add removes releases beyond the limits. It returns a
// *Refusal if the file must not run.
func (s *Store) Add(ctx context.Context, name, source string) (Release, error) {
	dir, err := s.processDir(name)
	if err != nil {
		return Release{}, err
	}
	f, info, err := openRegular(source)
	if err != nil {
		return Release{}, wrapWithPath(source, err)
	}
	defer f.Close()
	temp, err := s.createTemp(ctx, dir)
	if err != nil {
		return Release{}, err
	}
	defer temp.discard()
	sum, err := temp.copyFrom(ctx, f)
	if err != nil {
		return Release{}, fmt.Errorf("copy %s: %w", source, err)
	}
	s.reachStep("copied")
	c := verifyInput{content: content{temp.file, temp.size}, path: source, sum: sum, mode: info.Mode(), modTime: info.ModTime()}
	return s.verifyAndPublish(ctx, name, dir, source, temp, c)
}

// verifyAndPublish publishes the copy if it can be verified.
func (s *Store) verifyAndPublish(ctx context.Context, name, dir, source string, temp *tempCopy, c verifyInput) (Release, error) {
	// Syncing runs while the copy is verified; a copy that fails is discarded all the same.
	finished := make(chan error, 1)
	go func() { finished <- temp.syncToDisk() }()
	proof, err := c.verify(ctx, s.Platform.orHost())
	finishing := <-finished
	if err != nil {
		return Release{}, wrapWithPath(source, err)
	}
	if finishing != nil {
		return Release{}, fmt.Errorf("copy %s: %w", source, finishing)
	}
	s.reachStep("synced")
	return s.publishCopy(ctx, name, dir, temp, Record{Verification: proof, Source: source})
}

// Receive adds the content of r, as Add does, if it has the given SHA-256, which its sender has computed. source names it in
// errors.
func (s *Store) Receive(ctx context.Context, name, source, wantSum string, r io.Reader) (Release, error) {
	dir, err := s.processDir(name)
	if err != nil {
		return Release{}, err
	}
	temp, err := s.createTemp(ctx, dir)
	if err != nil {
		return Release{}, err
	}
	defer temp.discard()
	sum, err := temp.copyFrom(ctx, r)
	if err != nil {
		return Release{}, fmt.Errorf("receive %s: %w", source, err)
	}
	if sum != wantSum {
		return Release{}, wrapWithPath(source, newRefusal(Mixed, "what arrived has SHA-256 %s, what was sent %s", sum, wantSum))
	}
	c := verifyInput{content: content{temp.file, temp.size}, path: source, sum: sum, mode: 0o755, modTime: time.Now(), hasSenderSum: true}
	return s.verifyAndPublish(ctx, name, dir, source, temp, c)
}

// publishCopy names the copy. The record comes first: a record without a program is ignored, while a program without a record
// could not be told from another user's file.
func (s *Store) publishCopy(ctx context.Context, name, dir string, temp *tempCopy, record Record) (Release, error) {
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return Release{}, err
	}
	defer unlock()
	temp.file.Close() // a program that is open for writing cannot run; from here the directory's lock protects it
	all, err := readReleases(dir, name)
	if err != nil {
		return Release{}, err
	}
	r := Release{Name: name, Path: filepath.Join(dir, record.Verification.SHA256)}
	if i := indexBySum(all, record.Verification.SHA256); i >= 0 && all[i].Damaged == "" {
		r.Record = all[i].Record
	}
	r.Record.Verification, r.Record.Source, r.Record.Added, r.Record.Seq = record.Verification, record.Source, time.Now().UTC(), nextSeq(all)
	if err := s.writeRecord(r); err != nil {
		return Release{}, err
	}
	s.reachStep("recorded")
	if checkUnchanged(ctx, r) != nil { // missing, or damaged since
		if err := os.Rename(temp.path, r.Path); err != nil {
			return Release{}, fmt.Errorf("name a release: %w", err)
		}
		if err := syncDir(dir); err != nil {
			return Release{}, err
		}
	}
	s.reachStep("named")
	if err := s.removeSurplus(dir, name, r.Record.Verification.SHA256); err != nil && s.Log != nil {
		s.Log.Warn("releases that are too many stay", "process", name, "error", err)
	}
	return findRelease(dir, name, r.Record.Verification.SHA256)
}

// findRelease reads the current state of a release.
func findRelease(dir, name, sum string) (Release, error) {
	all, err := readReleases(dir, name)
	if err != nil {
		return Release{}, err
	}
	i := indexBySum(all, sum)
	if i < 0 {
		return Release{}, fmt.Errorf("%s of %s: %w", sum, name, ErrUnknown)
	}
	return all[i], nil
}

func indexBySum(all []Release, sum string) int {
	for i, r := range all {
		if r.Record.Verification.SHA256 == sum {
			return i
		}
	}
	return -1
}

func nextSeq(all []Release) int {
	turn := 0
	for _, r := range all {
		turn = max(turn, r.Record.Seq, r.Record.CurrentSeq)
	}
	return turn + 1
}

// checkUnchanged reads the whole program. It returns ErrChanged if its content does not match its name.
func checkUnchanged(ctx context.Context, r Release) error {
	f, _, err := openRegular(r.Path)
	if _, odd := errors.AsType[*Refusal](err); odd || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s of %s: %w", r.Record.Verification.SHA256, r.Name, ErrChanged)
	}
	if err != nil {
		return fmt.Errorf("check a release: %w", err)
	}
	defer f.Close()
	sum, err := hashReader(ctx, f)
	if err != nil {
		return fmt.Errorf("check a release: %w", err)
	}
	if sum != r.Record.Verification.SHA256 {
		return fmt.Errorf("%s of %s: %w", r.Record.Verification.SHA256, r.Name, ErrChanged)
	}
	return nil
}

func (s *Store) reachStep(step string) {
	if s.onStep != nil {
		s.onStep(step)
	}
}

// tempCopy is a copy that is not published yet. Its file's lock shows that its writer lives.
type tempCopy struct {
	file *os.File
	path string
	size int64
}

// createTemp creates an empty copy. It holds the directory's lock, so that removeSurplus never finds an unlocked one.
func (s *Store) createTemp(ctx context.Context, dir string) (*tempCopy, error) {
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := os.CreateTemp(dir, temporaryPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("copy into the store: %w", err)
	}
	s.reachStep("begun")
	t := &tempCopy{file: f, path: f.Name()}
	if err := tryLock(f); err != nil {
		t.discard()
		return nil, fmt.Errorf("copy into the store: %w", err)
	}
	return t, nil
}

// copyFrom copies r and returns the SHA-256 of the copy. It copies the bytes and never links: a linked file would change with
// the original when that is overwritten in place.
func (t *tempCopy) copyFrom(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	var err error
	t.size, err = io.CopyBuffer(io.MultiWriter(&eagerWriter{file: t.file}, h), contextReader{ctx, r}, make([]byte, 256<<10))
	return hex.EncodeToString(h.Sum(nil)), err
}

// eagerWriter writes to a file and starts its writeback at once, which shortens the final sync.
type eagerWriter struct {
	file *os.File
	size int64
}

func (e *eagerWriter) Write(p []byte) (int, error) {
	n, err := e.file.Write(p)
	_ = unix.SyncFileRange(int(e.file.Fd()), e.size, int64(n), unix.SYNC_FILE_RANGE_WRITE) // where this fails, the final sync does it all
	e.size += int64(n)
	return n, err
}

// syncToDisk syncs the copy to disk, as a program without write permission.
func (t *tempCopy) syncToDisk() error {
	if err := t.file.Chmod(0o555); err != nil {
		return err
	}
	return t.file.Sync()
}

// discard closes the copy, and removes it unless it was published.
func (t *tempCopy) discard() {
	_ = os.Remove(t.path)
	t.file.Close()
}
