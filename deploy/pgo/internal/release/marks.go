package release

import (
	"context"
	"fmt"
	"time"
)

// SetCurrent writes down that the process now runs this release; the one before is live no longer.
func (s *Store) SetCurrent(ctx context.Context, name, sum string) error {
	return s.updateRecord(ctx, name, sum, func(r *Release, turn int, now time.Time) error {
		if r.Missing {
			return fmt.Errorf("%s of %s: %w", sum, name, ErrChanged)
		}
		r.Record.Seq, r.Record.CurrentSeq, r.Record.CurrentAt = turn, turn, &now
		return nil
	})
}

// SetVersion keeps what the release says of itself.
func (s *Store) SetVersion(ctx context.Context, name, sum, version string) error {
	return s.updateRecord(ctx, name, sum, func(r *Release, _ int, _ time.Time) error {
		r.Record.Version = version
		return nil
	})
}

// MarkPassed says that the release has proven itself: it can be gone back to.
func (s *Store) MarkPassed(ctx context.Context, name, sum string) error {
	return s.updateRecord(ctx, name, sum, func(r *Release, _ int, now time.Time) error {
		r.Record.PassedAt, r.Record.FailedAt, r.Record.Failure = &now, nil, ""
		return nil
	})
}

// MarkFailed says that the release does not work, and why: it is never gone back to.
func (s *Store) MarkFailed(ctx context.Context, name, sum, why string) error {
	return s.updateRecord(ctx, name, sum, func(r *Release, _ int, now time.Time) error {
		r.Record.PassedAt, r.Record.FailedAt, r.Record.Failure = nil, &now, why
		return nil
	})
}

// updateRecord rewrites one record. The error is ErrUnknown where there is none.
func (s *Store) updateRecord(ctx context.Context, name, sum string, how func(r *Release, turn int, now time.Time) error) error {
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
	if err := how(&all[i], nextSeq(all), time.Now().UTC()); err != nil {
		return err
	}
	return s.writeRecord(all[i])
}
