package logview

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/logfile"
)

// ParseTimeRange reads --since and --until. An empty text leaves that end open.
func ParseTimeRange(since, until string, now time.Time) (logfile.Range, error) {
	var r logfile.Range
	for _, flag := range []struct {
		name, text string
		into       *time.Time
	}{{"since", since, &r.Since}, {"until", until, &r.Until}} {
		if flag.text == "" {
			continue
		}
		at, err := parseTime(flag.text, now)
		if err != nil {
			return r, fmt.Errorf("--%s: %w", flag.name, err)
		}
		*flag.into = at
	}
	if !r.Until.IsZero() && r.Until.Before(r.Since) {
		return r, errors.New("--until is before --since")
	}
	return r, nil
}

// parseTime reads a time in RFC 3339, or how long before now it is: a Go duration, or whole days such as 7d.
func parseTime(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	ago, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		ago = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("expected a time such as 10m, 36h, 7d or 2026-01-31T15:04:05Z, found %q", text)
	}
	return now.Add(-ago), nil
}

// errStopReading ends the reading of a log.
var errStopReading = errors.New("stop reading")

// logStream is a log being read in the order of time, at its current line.
type logStream struct {
	next func() (time.Time, []byte, bool)
	at   time.Time
	line []byte
	more bool
}

func (s *logStream) advance() { s.at, s.line, s.more = s.next() }

// openRanges prints the lines of several logs in the view's range, in the order of time, and returns the offset up to which
// each log was read.
func (s *session) openRanges(ctx context.Context) ([]int64, error) {
	offsets, failed := make([]int64, len(s.names)), make([]error, len(s.names))
	streams := make([]*logStream, len(s.names))
	for i, name := range s.names {
		var lines iter.Seq2[time.Time, []byte] = func(yield func(time.Time, []byte) bool) {
			offsets[i], failed[i] = logfile.ReadRange(ctx, s.home.LogPath(name), s.view.Times, func(at time.Time, line []byte) error {
				if s.matchers[i].matches(line) && !yield(at, line) {
					return errStopReading
				}
				return nil
			})
		}
		if s.view.Lines >= 0 {
			lines = keepLast(lines, s.view.Lines)
		}
		next, stop := iter.Pull2(lines)
		defer stop()
		streams[i] = &logStream{next: next}
		streams[i].advance()
	}
	for {
		first := findEarliest(streams)
		if first < 0 {
			return offsets, errors.Join(failed...)
		}
		if err := s.printer.printLine(s.names[first], streams[first].line); err != nil {
			return nil, err
		}
		streams[first].advance()
	}
}

// findEarliest returns the index of the stream whose current line is the earliest, -1 where all have ended.
func findEarliest(streams []*logStream) int {
	first := -1
	for i, s := range streams {
		if s.more && (first < 0 || s.at.Before(streams[first].at)) {
			first = i
		}
	}
	return first
}

// keepLast returns the last n of lines.
func keepLast(lines iter.Seq2[time.Time, []byte], n int) iter.Seq2[time.Time, []byte] {
	return func(yield func(time.Time, []byte) bool) {
		last, times := logfile.NewLastLines(n), []time.Time{}
		for at, line := range lines {
			_ = last.Add(line) // it only keeps it in memory
			if times = append(times, at); len(times) >= 2*n+1000 {
				times = append(times[:0], times[len(times)-n:]...)
			}
		}
		all := last.All()
		times = times[len(times)-len(all):]
		for i, line := range all {
			if !yield(times[i], line) {
				return
			}
		}
	}
}
