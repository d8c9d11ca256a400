package logfile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Range is a range of time; a zero end is open.
type Range struct{ Since, Until time.Time }

func (r Range) contains(at time.Time) bool {
	return !at.Before(r.Since) && (r.Until.IsZero() || !at.After(r.Until))
}

// maxDelay is the maximum time between a line's own time and its arrival in the file.
const maxDelay = time.Minute

// ReadRange calls line for every line of the log that was written in the range, including rotated files, oldest first. A line
// without a time has that of the line before; without one before it, that of its file's end. It returns the offset up to
// which it has read the current file. The end of ctx ends it with the error of ctx.
func ReadRange(ctx context.Context, path string, r Range, line func(at time.Time, text []byte) error) (int64, error) {
	// Opened first: if it is rotated meanwhile it is found twice, and read once.
	current, err := os.Open(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read the log: %w", err)
	}
	var here os.FileInfo
	if current != nil {
		defer current.Close()
		if here, err = current.Stat(); err != nil {
			return 0, fmt.Errorf("read the log: %w", err)
		}
	}
	var from, last time.Time
	timed := func(end time.Time) func([]byte) error {
		return func(text []byte) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			at, ok := ParseTime(text)
			switch {
			case ok:
				last = at
			case !last.IsZero():
				at = last
			default:
				at = end
			}
			if !r.contains(at) {
				return nil
			}
			return line(at, text)
		}
	}
	for _, old := range ListRotated(path) {
		if info, err := os.Stat(old.Path); err == nil && here != nil && os.SameFile(info, here) {
			break
		}
		begun := from
		from = old.RotatedAt
		if old.RotatedAt.Before(r.Since) || !r.Until.IsZero() && begun.After(r.Until.Add(maxDelay)) {
			continue
		}
		if err := old.ReadLines(timed(old.RotatedAt)); err != nil {
			return 0, fmt.Errorf("read the log: %s: %w", old.Path, err)
		}
	}
	if current == nil {
		return 0, nil
	}
	if err := readLines(io.NewSectionReader(current, 0, here.Size()), timed(here.ModTime())); err != nil {
		return 0, fmt.Errorf("read the log: %w", err)
	}
	return here.Size(), nil
}

// maxTailAttempts bounds the attempts to read a tail while the log is not rotated: that of a flood is rotated all the time.
const maxTailAttempts = 3

// ReadTail returns the last n lines of the log, including rotated files, and the offset up to which it has read the current
// file. The end of ctx ends it with the error of ctx.
func ReadTail(ctx context.Context, path string, n int) (lines []byte, read int64, err error) {
	for attempt := 1; ; attempt++ {
		before, _ := os.Stat(path) // a missing one is nil, before and after
		rotated := ListRotated(path)
		if lines, read, err = ReadLast(path, n, 0); err != nil {
			return nil, 0, err
		}
		missing := n - countLines(lines)
		for _, old := range slices.Backward(rotated) {
			if missing <= 0 {
				break
			}
			last := NewLastLines(missing)
			add := func(line []byte) error { return cmp.Or(ctx.Err(), last.Add(line)) }
			if err := old.ReadLines(add); err != nil {
				return nil, 0, fmt.Errorf("read the log: %s: %w", old.Path, err)
			}
			earlier := bytes.Join(last.All(), nil)
			missing -= countLines(earlier)
			lines = append(earlier, lines...)
		}
		after, _ := os.Stat(path)
		isStable := before == nil && after == nil || before != nil && after != nil && os.SameFile(before, after)
		if isStable || attempt == maxTailAttempts {
			return lines, read, nil
		}
	}
}

// countLines returns the number of lines in text, including a last one without a newline.
func countLines(text []byte) int {
	n := bytes.Count(text, []byte("\n"))
	if len(text) > 0 && text[len(text)-1] != '\n' {
		n++
	}
	return n
}

// LastLines keeps the last of the lines that are added.
type LastLines struct {
	max, next int
	lines     [][]byte
}

// NewLastLines keeps at most max lines.
func NewLastLines(most int) *LastLines { return &LastLines{max: most} }

// Add adds a copy of a line.
func (l *LastLines) Add(line []byte) error {
	switch {
	case l.max <= 0:
	case len(l.lines) < l.max:
		l.lines = append(l.lines, bytes.Clone(line))
	default:
		l.lines[l.next] = append(l.lines[l.next][:0], line...)
		l.next = (l.next + 1) % l.max
	}
	return nil
}

// All returns the kept lines, oldest first.
func (l *LastLines) All() [][]byte {
	return append(slices.Clone(l.lines[l.next:]), l.lines[:l.next]...)
}
