package release

import (
	"context"
	"fmt"
	"time"
)

// SetCurrent records that the process now runs this release. The previous one is no longer current.
func (s *Store) SetCurrent(ctx context.Context, name, sum string) error {
	return s.updateRecord(ctx, name, sum, func(r *Release, turn int, now time.Time) error {
		if r.Missing {
			return fmt.Errorf("%s of %s: %w", sum, name, ErrChanged)
		}
		r.Record.Seq, r.Record.CurrentSeq, r.Record.CurrentAt = turn, turn, &now
		return nil
	})
}

// SetVersion records the version that the release reports.
func (s *Store) SetVersion(ctx context.Context, name, sum, version string) error {
	return s.updateRecord(ctx, name, sum, func(r *Release, _ int, _ time.Time) error {
		r.Record.Version = version
		return nil
	})
}

// MarkPassed records that the release has passed its probation: it can be rolled back to.
func (s *Store) MarkPassed(ctx context.Context, name, sum string) error {
	return s.updateRecord(ctx, name, sum, func(r *Release, _ int, now time.Time) error {
		r.Record.PassedAt, r.Record.FailedAt, r.Record.Failure = &now, nil, ""
		return nil
	})
}

// MarkFailed records that the release does not work, and why: it is never rolled back to.
func (s *Store) MarkFailed(ctx context.Context, name, sum, why string) error {
	return s.updateRecord(ctx, name, sum, func(r *Release, _ int, now time.Time) error {
		r.Record.PassedAt, r.Record.FailedAt, r.Record.Failure = nil, &now, why
		return nil
	})
}

// updateRecord rewrites one record. It returns ErrUnknown if there is none.
func (s *Store) updateRecord(ctx context.Context, name, sum string, update func(r *Release, turn int, now time.Time) error) error {
	dir, err := s.processDir(name)
	if err != nil {
		return err
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	all, err := readReleases(dir, name)
	if err != nil {
		return err
	}
	i := indexBySum(all, sum)
	if i < 0 {
		return fmt.Errorf("%s of %s: %w", sum, name, ErrUnknown)
	}
	if err := update(&all[i], nextSeq(all), time.Now().UTC()); err != nil {
		return err
	}
	return s.writeRecord(all[i])
}
