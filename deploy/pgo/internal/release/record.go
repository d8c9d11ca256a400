package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// Record is the stored state of a release, in a file beside its program.
//
// Sequence numbers order the changes of a process's releases, since clocks can be set back. The current release is the one
// with the highest CurrentSeq: so one file makes a release current, and a switch is either written or not.
type Record struct {
	Verification
	Source     string     `json:"source"`            // path of the deployed file
	Version    string     `json:"version,omitempty"` // as the program reports it
	Added      time.Time  `json:"added"`             // time of the last Add
	Seq        int        `json:"turn"`              // when it was added or made current last
	CurrentSeq int        `json:"live_turn,omitempty"`
	CurrentAt  *time.Time `json:"live_at,omitempty"` // when it became current last
	PassedAt   *time.Time `json:"good_at,omitempty"` // when it passed its probation
	FailedAt   *time.Time `json:"bad_at,omitempty"`  // when it failed; never together with PassedAt
	Failure    string     `json:"bad,omitempty"`     // why it failed
}

// Release is one stored version of a process's program.
type Release struct {
	Record
	Name    string `json:"name"` // of the process
	Path    string `json:"path"` // of the program to run
	Current bool   `json:"live"`
	Missing bool   `json:"missing,omitempty"` // the program was removed; only set with Current
	Damaged string `json:"damaged,omitempty"` // why its record cannot be read; its content is lost
}

// sha256Name matches the name of a release's program; its record has ".json" appended.
var sha256Name = regexp.MustCompile(`^[0-9a-f]{64}$`)

const (
	recordSuffix    = ".json"
	temporaryPrefix = ".new-"
	lockName        = ".lock"
)

// readSnapshot returns a consistent state of the directory without its lock. Every file is replaced atomically, but between
// two reads a release may become current and the previous one be removed: then neither would be current. Since sequence
// numbers only grow, a state that is read twice in a row existed in between.
func readSnapshot(dir, name string) ([]Release, error) {
	const tries = 100 // a change takes its writer longer than a read
	last, err := readReleases(dir, name)
	for range tries {
		if err != nil {
			break
		}
		before := last
		if last, err = readReleases(dir, name); reflect.DeepEqual(last, before) {
			break
		}
	}
	return last, err
}

// readReleases returns the releases in the directory, in no order. It ignores other files.
func readReleases(dir, name string) ([]Release, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the releases of %s: %w", name, err)
	}
	var all []Release
	live := -1
	for _, e := range entries {
		sum, ok := strings.CutSuffix(e.Name(), recordSuffix)
		if !ok || !sha256Name.MatchString(sum) {
			continue
		}
		r, err := readRelease(dir, name, sum)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed just now
		}
		if err != nil {
			return nil, fmt.Errorf("read the releases of %s: %w", name, err)
		}
		all = append(all, r)
		if r.Record.CurrentSeq > 0 && (live < 0 || r.Record.CurrentSeq > all[live].Record.CurrentSeq) {
			live = len(all) - 1
		}
	}
	if live >= 0 {
		all[live].Current = true
	}
	return all, nil
}

// readRelease reads one release. It returns fs.ErrNotExist if there is no record.
func readRelease(dir, name, sum string) (Release, error) {
	r := Release{Name: name, Path: filepath.Join(dir, sum)}
	text, err := os.ReadFile(r.Path + recordSuffix)
	if err != nil {
		return Release{}, err
	}
	if err := json.Unmarshal(text, &r.Record); err != nil {
		r.Record, r.Damaged = Record{}, fmt.Sprintf("its record cannot be read: %s", err)
	} else if r.Record.Verification.SHA256 != sum {
		r.Record, r.Damaged = Record{}, "its record is of another release"
	}
	r.Record.Verification.SHA256 = sum
	info, err := os.Lstat(r.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Missing = true
	case err != nil:
		return Release{}, err
	case r.Damaged != "":
		r.Record.Verification.Size = info.Size()
	default:
		r.Missing = !info.Mode().IsRegular() || info.Size() != r.Record.Verification.Size
	}
	return r, nil
}

// writeRecord replaces the record atomically.
func (s *Store) writeRecord(r Release) error {
	text, err := json.MarshalIndent(r.Record, "", "  ")
	if err != nil {
		return fmt.Errorf("write the record of a release: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(r.Path), temporaryPrefix+"*")
	if err != nil {
		return fmt.Errorf("write the record of a release: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	s.reachStep("writing")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), r.Path+recordSuffix)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write the record of a release: %w", err)
	}
	return syncDir(filepath.Dir(r.Path))
}

// syncDir makes the renames in a directory survive a power loss.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync a directory of releases: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync a directory of releases: %w", err)
	}
	return nil
}
