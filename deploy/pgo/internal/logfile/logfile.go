// Package logfile moves what processes say from their pipes into files, rotates those, and reads and follows them.
package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ReadLast returns the last n lines of the file that begin at offset from or later, and how far it has read. A file that
// does not exist has none.
func ReadLast(path string, n int, from int64) ([]byte, int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("read the log: %w", err)
	}
	end := info.Size()
	if from > end {
		from = 0 // it was truncated since
	}
	var tail []byte
	for at := end; n > 0 && at > from; {
		size := min(64<<10, at-from)
		at -= size
		block := make([]byte, size)
		if _, err := f.ReadAt(block, at); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, fmt.Errorf("read the log: %w", err)
		}
		tail = append(block, tail...)
		if start := findLastLines(tail, n); start > 0 {
			return tail[start:], end, nil
		}
	}
	return tail, end, nil
}

// findLastLines returns where the last n lines of text begin; 0 where it has no more than n.
func findLastLines(text []byte, n int) int {
	for i := len(bytes.TrimSuffix(text, []byte("\n"))); n > 0; n-- {
		i = bytes.LastIndexByte(text[:i], '\n')
		if i < 0 {
			return 0
		}
		if n == 1 {
			return i + 1
		}
	}
	return len(text)
}

// pollInterval is how often a followed file is looked at.
const pollInterval = 200 * time.Millisecond

// FollowLines writes each line that is appended to the file after offset, until ctx ends. A file that is truncated or made
// anew is read from its beginning; one that does not exist is waited for.
func FollowLines(ctx context.Context, path string, offset int64, line func([]byte) error) error {
	t := follower{path: path, offset: offset}
	defer t.close()
	every := time.NewTicker(pollInterval)
	defer every.Stop()
	for {
		if err := t.readNew(line); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

type follower struct {
	path      string
	offset    int64
	file      *os.File
	currentAt time.Time // when the file was last the one at the path
	partial   []byte    // of a line that has no end yet
}

func (t *follower) close() {
	if t.file != nil {
		t.file.Close()
	}
}

func (t *follower) readNew(line func([]byte) error) error {
	if t.file == nil {
		f, err := os.Open(t.path)
		if errors.Is(err, os.ErrNotExist) {
			t.offset = 0
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow the log: %w", err)
		}
		t.file, t.currentAt = f, time.Now()
	}
	if err := t.readFile(line); err != nil {
		return err
	}
	here, err := t.file.Stat()
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	looked := time.Now()
	there, err := os.Stat(t.path)
	if err == nil && os.SameFile(here, there) {
		t.currentAt = looked
		return nil
	}
	// What was written to the old file between reading and looking.
	if err := t.readFile(line); err != nil {
		return err
	}
	if len(t.partial) > 0 {
		if err := line(t.partial); err != nil {
			return err
		}
	}
	t.close()
	t.file, t.offset, t.partial = nil, 0, nil
	for _, old := range rotatedSince(ListRotated(t.path), here, t.currentAt) {
		t.currentAt = old.RotatedAt
		if err := old.ReadLines(line); err != nil {
			return fmt.Errorf("follow the log: %w", err)
		}
	}
	if err != nil {
		return nil //nolint:nilerr // there is none now: it is waited for
	}
	return t.readNew(line)
}

// rotatedSince returns those that were rotated after the file that is here, which was last at its place when seen.
func rotatedSince(rotated []RotatedFile, here os.FileInfo, seen time.Time) []RotatedFile {
	for i, old := range rotated {
		if info, err := os.Stat(old.Path); err == nil && os.SameFile(info, here) {
			return rotated[i+1:]
		}
	}
	// Compressed already: it was the first of those that went since.
	for i, old := range rotated {
		if old.RotatedAt.After(seen) {
			return rotated[i+1:]
		}
	}
	return nil
}

func (t *follower) readFile(line func([]byte) error) error {
	info, err := t.file.Stat()
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	if info.Size() < t.offset {
		t.offset, t.partial = 0, nil
	}
	block := make([]byte, 64<<10)
	for {
		n, err := t.file.ReadAt(block, t.offset)
		t.offset += int64(n)
		if err := t.emitLines(block[:n], line); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow the log: %w", err)
		}
	}
}

// emitLines adds text and calls line for every line that is whole now.
func (t *follower) emitLines(text []byte, line func([]byte) error) error {
	t.partial = append(t.partial, text...)
	for {
		end := bytes.IndexByte(t.partial, '\n')
		if end < 0 {
			return nil
		}
		if err := line(t.partial[:end+1]); err != nil {
			return err
		}
		t.partial = t.partial[end+1:]
	}
}
