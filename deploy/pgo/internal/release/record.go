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
	"time"
)

// Record is what the store writes down of a release, in a file beside it.
//
// Turns count what happened to a process's releases; they order them, since clocks can be set back. The live release
// is the one that went live in the latest turn: so one file says that another has become live, and a switch is either
// written or not.
type Record struct {
	Verification
	Source     string     `json:"source"`            // the file that it is a copy of
	Version    string     `json:"version,omitempty"` // as it says itself
	Added      time.Time  `json:"added"`             // last
	Seq        int        `json:"turn"`              // when it was added or went live last
	CurrentSeq int        `json:"live_turn,omitempty"`
	CurrentAt  *time.Time `json:"live_at,omitempty"` // when it went live last
	PassedAt   *time.Time `json:"good_at,omitempty"` // when it was found good
	FailedAt   *time.Time `json:"bad_at,omitempty"`  // when it was found bad; never together with PassedAt
	Failure    string     `json:"bad,omitempty"`     // and why
}

// Release is one version of one process's program.
type Release struct {
	Record
	Name    string `json:"name"` // of the process
	Path    string `json:"path"` // of the program: what is to be run
	Current bool   `json:"live"`
	Missing bool   `json:"missing,omitempty"` // the program was taken away by someone; only ever with Live
	Damaged string `json:"damaged,omitempty"` // why its record cannot be read; what it said is lost
}

// sha256Name is the name of a release's program; its record has ".json" behind it.
var sha256Name = regexp.MustCompile(`^[0-9a-f]{64}$`)

const (
	recordSuffix    = ".json"
	temporaryPrefix = ".new-"
	lockName        = ".lock"
)

// readSnapshot returns what the folder had at one moment, for who does not have its lock. Every file is replaced whole, but
// between two of them a release may go live and the one before be removed: then neither would be the live one. Since
// turns only grow, what is read twice in a row was there in between.
func readSnapshot(dir, name string) ([]Release, error) {
	const tries = 100 // each change takes its writer longer than a look
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

// readReleases returns what the folder has, in no order. Files of others are none of ours.
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
		sum, ok := trimmed(e.Name(), recordSuffix)
		if !ok || !sha256Name.MatchString(sum) {
			continue
		}
		r, err := readRelease(dir, name, sum)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed just now
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

func trimmed(name, suffix string) (string, bool) {
	if len(name) < len(suffix) || name[len(name)-len(suffix):] != suffix {
		return "", false
	}
	return name[:len(name)-len(suffix)], true
}

// readRelease returns fs.ErrNotExist where there is no record.
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

// writeRecord puts the record where the old one is, in one step.
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

// syncDir makes what was renamed in a folder outlast a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write a folder of releases to the disk: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("write a folder of releases to the disk: %w", err)
	}
	return nil
}
