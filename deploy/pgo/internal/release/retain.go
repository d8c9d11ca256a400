package release

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// removeSurplus removes releases beyond the limits, and the leftovers of killed writers. Its caller holds the directory's lock
// and has just added a release.
func (s *Store) removeSurplus(dir, name, added string) error {
	var failed []error
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("clean up the releases: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporaryPrefix) && e.Type().IsRegular() {
			failed = append(failed, removeAbandoned(filepath.Join(dir, e.Name())))
		}
	}
	all, err := readReleases(dir, name)
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	for _, r := range selectSurplus(all, added, cmp.Or(s.Keep, defaultKeep), cmp.Or(s.MaxBytes, defaultBytes)) {
		// The program first: a record alone is ignored, and removed the next time.
		failed = append(failed, removeIfExists(r.Path))
		s.reachStep("removed")
		failed = append(failed, removeIfExists(r.Path+recordSuffix))
	}
	return errors.Join(failed...)
}

// selectSurplus returns the releases to remove. The current release, the rollback target, the last one that passed and the one
// just added stay whatever the limits, and so does one whose record cannot be read. Of the others the latest stay. Failed
// ones go before all others, and then those that were current and never passed, which are never rolled back to: so
// concurrent deploys do not remove a release that is about to become current.
func selectSurplus(all []Release, added string, keep int, bytes int64) []Release {
	safe := map[string]bool{added: true}
	if t := rollbackTargets(all); len(t) > 0 {
		safe[t[0].Record.Verification.SHA256] = true
	}
	var good *Release
	for i, r := range all {
		if r.Current || r.Damaged != "" {
			safe[r.Record.Verification.SHA256] = true
		}
		if r.Record.PassedAt != nil && !r.Missing && (good == nil || r.Record.CurrentSeq > good.Record.CurrentSeq) {
			good = &all[i]
		}
	}
	if good != nil {
		safe[good.Record.Verification.SHA256] = true
	}
	rank := func(r Release) int {
		switch {
		case safe[r.Record.Verification.SHA256]:
			return 0
		case r.Record.FailedAt != nil:
			return 3
		case r.Record.PassedAt == nil && r.Record.Seq == r.Record.CurrentSeq:
			return 2
		}
		return 1
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Release) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), compareLatestFirst(a, b)) })
	var out []Release
	kept, held := 0, int64(0)
	for _, r := range all {
		switch {
		case r.Missing && !r.Current,
			rank(r) > 0 && (kept >= keep || held+r.Record.Verification.Size > bytes):
			out = append(out, r)
		default:
			kept++
			held += r.Record.Verification.Size
		}
	}
	return out
}

// removeAbandoned removes a temporary file, unless its writer lives.
func removeAbandoned(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if tryLock(f) != nil {
		return nil
	}
	return removeIfExists(path)
}

func removeIfExists(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
