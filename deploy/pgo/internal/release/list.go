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

// ErrNoTarget is the error where there is nothing to go back to.
var ErrNoTarget = errors.New("no good release to go back to")

// ErrNotLive is the error where no release is live.
var ErrNotLive = errors.New("no release is live")

// shortest is how many digits of a SHA-256 name a release.
const shortest = 4

// Names returns the processes that the store has a folder of, in order.
func (s *Store) Names() ([]string, error) {
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

// List returns a process's releases, the one that was added or went live last first.
func (s *Store) List(name string) ([]Release, error) {
	dir, err := s.folder(name)
	if err != nil {
		return nil, err
	}
	all, err := snapshot(dir, name)
	if err != nil {
		return nil, err
	}
	// One without a program was never finished, or is just being removed.
	all = slices.DeleteFunc(all, func(r Release) bool { return r.Missing && !r.Live })
	slices.SortStableFunc(all, latestFirst)
	return all, nil
}

func latestFirst(a, b Release) int { return cmp.Compare(b.Record.Turn, a.Record.Turn) }

// Live returns the release that is live; ErrNotLive where none is.
func (s *Store) Live(name string) (Release, error) {
	all, err := s.List(name)
	if err != nil {
		return Release{}, err
	}
	if i := slices.IndexFunc(all, func(r Release) bool { return r.Live }); i >= 0 {
		return all[i], nil
	}
	return Release{}, fmt.Errorf("%s: %w", name, ErrNotLive)
}

// Find returns the release with that version, SHA-256 or beginning of a SHA-256. The error is ErrUnknown where there
// is none, or more than one.
func (s *Store) Find(name, wanted string) (Release, error) {
	all, err := s.List(name)
	if err != nil {
		return Release{}, err
	}
	found := slices.DeleteFunc(all, func(r Release) bool {
		return r.Record.Version != wanted && (len(wanted) < shortest || !strings.HasPrefix(r.Record.Proof.SHA256, wanted))
	})
	switch {
	case wanted == "" || len(found) == 0:
		return Release{}, fmt.Errorf("%q of %s: %w", wanted, name, ErrUnknown)
	case len(found) > 1:
		return Release{}, fmt.Errorf("%q of %s can be %d releases, name one by its SHA-256: %w", wanted, name, len(found), ErrUnknown)
	}
	return found[0], nil
}

// Check reads the whole program; the error is ErrChanged where it is not what was stored.
func (s *Store) Check(ctx context.Context, name, sum string) error {
	dir, err := s.folder(name)
	if err != nil {
		return err
	}
	r, err := readBack(dir, name, sum)
	if err != nil {
		return err
	}
	return unchanged(ctx, r)
}

// RollbackTarget returns the last good release that was live before the one that is, and whose program is still what
// was stored. The error is ErrNoTarget where there is none.
func (s *Store) RollbackTarget(ctx context.Context, name string) (Release, error) {
	all, err := s.List(name)
	if err != nil {
		return Release{}, err
	}
	for _, r := range targets(all) {
		err := unchanged(ctx, r)
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, ErrChanged) {
			return Release{}, err
		}
	}
	return Release{}, fmt.Errorf("%s: %w", name, ErrNoTarget)
}

// GoBackTo returns the release that a roll-back leads to: the one that is named, as Find, or where none is RollbackTarget.
func (s *Store) GoBackTo(ctx context.Context, name, wanted string) (Release, error) {
	if wanted != "" {
		return s.Find(name, wanted)
	}
	return s.RollbackTarget(ctx, name)
}

// targets returns what can be gone back to, the best first.
func targets(all []Release) []Release {
	live := slices.IndexFunc(all, func(r Release) bool { return r.Live })
	if live < 0 {
		return nil
	}
	var found []Release
	for _, r := range all {
		if r.Record.GoodAt != nil && r.Record.LiveTurn > 0 && r.Record.LiveTurn < all[live].Record.LiveTurn && !r.Missing && r.Damaged == "" {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b Release) int { return cmp.Compare(b.Record.LiveTurn, a.Record.LiveTurn) })
	return found
}
