package release

import (
	"context"
	"fmt"
	"time"
)

// SetCurrent writes down that the process now runs this release; the one before is live no longer.
func (s *Store) SetCurrent(ctx context.Context, name, sum string) error {
	return s.change(ctx, name, sum, func(r *Release, turn int, now time.Time) error {
		if r.Missing {
			return fmt.Errorf("%s of %s: %w", sum, name, ErrChanged)
		}
		r.Record.Seq, r.Record.CurrentSeq, r.Record.CurrentAt = turn, turn, &now
		return nil
	})
}

// SetVersion keeps what the release says of itself.
func (s *Store) SetVersion(ctx context.Context, name, sum, version string) error {
	return s.change(ctx, name, sum, func(r *Release, _ int, _ time.Time) error {
		r.Record.Version = version
		return nil
	})
}

// MarkPassed says that the release has proven itself: it can be gone back to.
func (s *Store) MarkPassed(ctx context.Context, name, sum string) error {
	return s.change(ctx, name, sum, func(r *Release, _ int, now time.Time) error {
		r.Record.PassedAt, r.Record.FailedAt, r.Record.Failure = &now, nil, ""
		return nil
	})
}

// MarkFailed says that the release does not work, and why: it is never gone back to.
func (s *Store) MarkFailed(ctx context.Context, name, sum, why string) error {
	return s.change(ctx, name, sum, func(r *Release, _ int, now time.Time) error {
		r.Record.PassedAt, r.Record.FailedAt, r.Record.Failure = nil, &now, why
		return nil
	})
}

// change rewrites one record. The error is ErrUnknown where there is none.
func (s *Store) change(ctx context.Context, name, sum string, how func(r *Release, turn int, now time.Time) error) error {
	dir, err := s.folder(name)
	if err != nil {
		return err
	}
	unlock, err := lock(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	all, err := readAll(dir, name)
	if err != nil {
		return err
	}
	i := indexOf(all, sum)
	if i < 0 {
		return fmt.Errorf("%s of %s: %w", sum, name, ErrUnknown)
	}
	if err := how(&all[i], nextTurn(all), time.Now().UTC()); err != nil {
		return err
	}
	return s.write(all[i])
}
