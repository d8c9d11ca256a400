package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// ErrNoRollbackTarget is returned when no release can be rolled back to.
var ErrNoRollbackTarget = errors.New("no good release to roll back to")

// ErrNoCurrent is returned when a process has no current release.
var ErrNoCurrent = errors.New("no release is current")

// minPrefixLength is the minimum number of SHA-256 digits that identify a release.
const minPrefixLength = 4

// ShortSum returns the first 12 digits of a SHA-256, which identify a release in texts.
func ShortSum(sum string) string { return sum[:min(12, len(sum))] }

// ProcessNames returns the processes that the store has releases of, sorted.
func (s *Store) ProcessNames() ([]string, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the releases: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && processName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// List returns a process's releases, the one added or made current last first.
func (s *Store) List(name string) ([]Release, error) {
	dir, err := s.processDir(name)
	if err != nil {
		return nil, err
	}
	all, err := readSnapshot(dir, name)
	if err != nil {
		return nil, err
	}
	// A release without a program was never finished, or is just being removed.
	all = slices.DeleteFunc(all, func(r Release) bool { return r.Missing && !r.Current })
	slices.SortStableFunc(all, compareLatestFirst)
	return all, nil
}

func compareLatestFirst(a, b Release) int { return cmp.Compare(b.Record.Seq, a.Record.Seq) }

// Current returns the current release. It returns ErrNoCurrent if there is none.
func (s *Store) Current(name string) (Release, error) {
	all, err := s.List(name)
	if err != nil {
		return Release{}, err
	}
	if i := slices.IndexFunc(all, func(r Release) bool { return r.Current }); i >= 0 {
		return all[i], nil
	}
	return Release{}, fmt.Errorf("%s: %w", name, ErrNoCurrent)
}

// Find returns the release with that version, SHA-256 or prefix of a SHA-256. It returns ErrUnknown if no release matches, or
// more than one.
func (s *Store) Find(name, wanted string) (Release, error) {
	all, err := s.List(name)
	if err != nil {
		return Release{}, err
	}
	found := slices.DeleteFunc(all, func(r Release) bool {
		return r.Record.Version != wanted && (len(wanted) < minPrefixLength || !strings.HasPrefix(r.Record.Verification.SHA256, wanted))
	})
	switch {
	case wanted == "" || len(found) == 0:
		return Release{}, fmt.Errorf("%q of %s: %w", wanted, name, ErrUnknown)
	case len(found) > 1:
		return Release{}, fmt.Errorf("%q of %s can be %d releases, name one by its SHA-256: %w", wanted, name, len(found), ErrUnknown)
	}
	return found[0], nil
}

// VerifyContent reads the whole program. It returns ErrChanged if it differs from what was stored.
func (s *Store) VerifyContent(ctx context.Context, name, sum string) error {
	dir, err := s.processDir(name)
	if err != nil {
		return err
	}
	r, err := findRelease(dir, name, sum)
	if err != nil {
		return err
	}
	return checkUnchanged(ctx, r)
}

// RollbackTarget returns the latest release that was current before the current one, passed its probation, and whose program
// is unchanged. It returns ErrNoRollbackTarget if there is none.
func (s *Store) RollbackTarget(ctx context.Context, name string) (Release, error) {
	all, err := s.List(name)
	if err != nil {
		return Release{}, err
	}
	for _, r := range rollbackTargets(all) {
		err := checkUnchanged(ctx, r)
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, ErrChanged) {
			return Release{}, err
		}
	}
	return Release{}, fmt.Errorf("%s: %w", name, ErrNoRollbackTarget)
}

// ResolveRollback returns the release to roll back to: the named one, as Find does, or without a name RollbackTarget's.
func (s *Store) ResolveRollback(ctx context.Context, name, wanted string) (Release, error) {
	if wanted != "" {
		return s.Find(name, wanted)
	}
	return s.RollbackTarget(ctx, name)
}

// rollbackTargets returns the releases that can be rolled back to, the best first.
func rollbackTargets(all []Release) []Release {
	live := slices.IndexFunc(all, func(r Release) bool { return r.Current })
	if live < 0 {
		return nil
	}
	var found []Release
	for _, r := range all {
		if r.Record.PassedAt != nil && r.Record.CurrentSeq > 0 && r.Record.CurrentSeq < all[live].Record.CurrentSeq && !r.Missing && r.Damaged == "" {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b Release) int { return cmp.Compare(b.Record.CurrentSeq, a.Record.CurrentSeq) })
	return found
}
