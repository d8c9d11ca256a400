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

// Store keeps releases in a folder: of the process NAME, the programs NAME/SHA256 with their records NAME/SHA256.json.
//
// A program gets its name when all of it is on the disk and proven; a kill or a loss of power at any moment leaves the
// releases that were there before, and what is half done is swept away by the next Add. Any number of processes and
// goroutines may use a store at once. The zero value of all but Dir is the default.
type Store struct {
	Dir      string       // PGO_HOME/releases
	Keep     int          // releases of a process that are kept; 5
	MaxBytes int64        // and how many bytes of them; 512 MiB
	Platform Platform     // that they must be for; this machine
	Log      *slog.Logger // what goes wrong after a release was added well; nowhere

	onStep func(name string) // tests stop here
}

const (
	defaultKeep  = 5
	defaultBytes = 512 << 20
)

// ErrUnknown is the error for a release that the store does not have.
var ErrUnknown = errors.New("no such release")

// ErrChanged is the error for a release whose program is not what was stored: it must not be run.
var ErrChanged = errors.New("the stored program was changed or removed")

var processName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

func (s *Store) processDir(name string) (string, error) {
	if !processName.MatchString(name) {
		return "", fmt.Errorf("%q cannot be the name of a process", name)
	}
	return filepath.Join(s.Dir, name), nil
}

// Add copies a file into the store, if the copy can be proven as Verify does; so what becomes of the file meanwhile
// does not matter. One that the store has already keeps its marks, and counts as the newest. Then it removes what is
// too much. The error is a *Refusal where the file must not run.
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
	copied, err := s.createTemp(ctx, dir)
	if err != nil {
		return Release{}, err
	}
	defer copied.discard()
	sum, err := copied.copyFrom(ctx, f)
	if err != nil {
		return Release{}, fmt.Errorf("copy %s: %w", source, err)
	}
	s.reachStep("copied")
	c := verifyInput{content: content{copied.file, copied.size}, path: source, sum: sum, mode: info.Mode(), modTime: info.ModTime()}
	return s.verifyAndPublish(ctx, name, dir, source, copied, c)
}

// verifyAndPublish publishes the copy where it can be proven.
func (s *Store) verifyAndPublish(ctx context.Context, name, dir, source string, copied *tempCopy, c verifyInput) (Release, error) {
	// The disk takes its time while the copy is proven; one that is not proven is dropped all the same.
	finished := make(chan error, 1)
	go func() { finished <- copied.syncToDisk() }()
	proof, err := c.verify(ctx, s.Platform.orHost())
	finishing := <-finished
	if err != nil {
		return Release{}, wrapWithPath(source, err)
	}
	if finishing != nil {
		return Release{}, fmt.Errorf("copy %s: %w", source, finishing)
	}
	s.reachStep("synced")
	return s.publishCopy(ctx, name, dir, copied, Record{Verification: proof, Source: source})
}

// Receive does as Add does with what r has, which has to have the SHA-256 that its sender has said. source is how
// errors call it.
func (s *Store) Receive(ctx context.Context, name, source, said string, r io.Reader) (Release, error) {
	dir, err := s.processDir(name)
	if err != nil {
		return Release{}, err
	}
	copied, err := s.createTemp(ctx, dir)
	if err != nil {
		return Release{}, err
	}
	defer copied.discard()
	sum, err := copied.copyFrom(ctx, r)
	if err != nil {
		return Release{}, fmt.Errorf("receive %s: %w", source, err)
	}
	if sum != said {
		return Release{}, wrapWithPath(source, newRefusal(Mixed, "what arrived has SHA-256 %s, what was sent %s", sum, said))
	}
	c := verifyInput{content: content{copied.file, copied.size}, path: source, sum: sum, mode: 0o755, modTime: time.Now(), hasSenderSum: true}
	return s.verifyAndPublish(ctx, name, dir, source, copied, c)
}

// publishCopy gives the copy its name. The record comes first: one without a program is nothing, while a program without a
// record could never be told from a file that someone else put there.
func (s *Store) publishCopy(ctx context.Context, name, dir string, copied *tempCopy, record Record) (Release, error) {
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return Release{}, err
	}
	defer unlock()
	copied.file.Close() // a program that is open for writing cannot be run; the folder's lock guards it from here
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
	if checkUnchanged(ctx, r) != nil { // not there yet, or damaged since
		if err := os.Rename(copied.path, r.Path); err != nil {
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

// findRelease returns a release as it now is.
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

// checkUnchanged reads the whole program and reports whether it still is what its name says; else the error is ErrChanged.
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

// tempCopy is a copy that has no name of its own yet. Its lock tells that its writer lives.
type tempCopy struct {
	file *os.File
	path string
	size int64
}

// createTemp makes an empty one. Under the lock of the folder: who sweeps never sees one that is not locked yet.
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

// copyFrom copies, and returns the SHA-256 of the copy. It is a copy of the bytes, never a link: a linked file would change
// with the one that is written over in place.
func (t *tempCopy) copyFrom(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	var err error
	t.size, err = io.CopyBuffer(io.MultiWriter(&eagerWriter{file: t.file}, h), contextReader{ctx, r}, make([]byte, 256<<10))
	return hex.EncodeToString(h.Sum(nil)), err
}

// eagerWriter writes to a file, and has the kernel begin to bring it to the disk at once: there is less to wait for then.
type eagerWriter struct {
	file *os.File
	size int64
}

func (e *eagerWriter) Write(p []byte) (int, error) {
	n, err := e.file.Write(p)
	_ = unix.SyncFileRange(int(e.file.Fd()), e.size, int64(n), unix.SYNC_FILE_RANGE_WRITE) // where it cannot, the sync at the end does it all
	e.size += int64(n)
	return n, err
}

// syncToDisk brings the copy to the disk, as a program that nobody writes to.
func (t *tempCopy) syncToDisk() error {
	if err := t.file.Chmod(0o555); err != nil {
		return err
	}
	return t.file.Sync()
}

// discard ends the copy's writing, and removes it unless it got a name.
func (t *tempCopy) discard() {
	_ = os.Remove(t.path)
	t.file.Close()
}
