// Package logview shows the logs of processes to people: the last lines or those of a time, filtered, readable, followed.
package logview

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/logfile"
)

// View selects the lines to show.
type View struct {
	Lines  int // of the last ones; -1 all
	Times  logfile.Range
	Filter Filter
	Follow bool
}

// HasTimes reports whether the view is limited to a time.
func (v View) HasTimes() bool { return v.Times != logfile.Range{} }

// Show prints the lines of the view, and follows the logs where the view does, until ctx ends or no one reads the output.
func Show(ctx context.Context, h home.Home, names []string, v View, p *Printer) error {
	return RunWhileRead(ctx, p.out, func(ctx context.Context) error {
		s := &session{home: h, names: names, view: v, printer: p, matchers: make([]matcher, len(names))}
		for i := range s.matchers {
			s.matchers[i].filter = v.Filter
		}
		err := s.show(ctx)
		if ctx.Err() != nil && (errors.Is(err, errStopReading) || errors.Is(err, ctx.Err())) {
			return nil
		}
		return err
	})
}

// session shows a view once.
type session struct {
	home     home.Home
	names    []string
	view     View
	printer  *Printer
	matchers []matcher // of each log
}

func (s *session) show(ctx context.Context) error {
	read := s.openTails
	if s.view.HasTimes() {
		read = s.openRanges
	}
	offsets, err := read(ctx)
	if err != nil || !s.view.Follow || ctx.Err() != nil {
		return err
	}
	var all sync.WaitGroup
	failed := make([]error, len(s.names))
	for i, name := range s.names {
		all.Go(func() {
			failed[i] = logfile.FollowLines(ctx, s.home.LogPath(name), offsets[i], func(line []byte) error {
				if !s.matchers[i].matches(line) {
					return nil
				}
				return s.printer.printLine(name, line)
			})
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// openTails prints the last lines of each log, one log after the other, and returns the offset up to which each was read.
func (s *session) openTails(ctx context.Context) ([]int64, error) {
	offsets := make([]int64, len(s.names))
	for i, name := range s.names {
		lines, offset, err := s.readTail(ctx, i)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			if err := s.printer.printLine(name, line); err != nil {
				return nil, err
			}
		}
		offsets[i] = offset
	}
	return offsets, nil
}

// readTail returns the last lines of a log that the filter selects, and the offset up to which it was read.
func (s *session) readTail(ctx context.Context, i int) ([][]byte, int64, error) {
	path := s.home.LogPath(s.names[i])
	if !s.view.Filter.isSet() {
		text, offset, err := logfile.ReadTail(ctx, path, s.view.Lines)
		return slices.Collect(bytes.Lines(text)), offset, err
	}
	last := logfile.NewLastLines(s.view.Lines)
	offset, err := logfile.ReadRange(ctx, path, logfile.Range{}, func(_ time.Time, line []byte) error {
		if !s.matchers[i].matches(line) {
			return nil
		}
		return last.Add(line)
	})
	return last.All(), offset, err
}
