// Package logfile reads the ends of log files and follows them.
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

// Last returns the last n lines of the file that begin at offset from or later, and how far it has read. A file that
// does not exist has none.
func Last(path string, n int, from int64) ([]byte, int64, error) {
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
		if start := lastLines(tail, n); start > 0 {
			return tail[start:], end, nil
		}
	}
	return tail, end, nil
}

// lastLines returns where the last n lines of text begin; 0 where it has no more than n.
func lastLines(text []byte, n int) int {
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

// poll is how often a followed file is looked at.
const poll = 200 * time.Millisecond

// Follow writes each line that is appended to the file after offset, until ctx ends. A file that is truncated or made
// anew is read from its beginning; one that does not exist is waited for.
func Follow(ctx context.Context, path string, offset int64, line func([]byte) error) error {
	t := tail{path: path, offset: offset}
	defer t.close()
	every := time.NewTicker(poll)
	defer every.Stop()
	for {
		if err := t.read(line); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

type tail struct {
	path    string
	offset  int64
	file    *os.File
	partial []byte // of a line that has no end yet
}

func (t *tail) close() {
	if t.file != nil {
		t.file.Close()
	}
}

func (t *tail) read(line func([]byte) error) error {
	if t.file == nil {
		f, err := os.Open(t.path)
		if errors.Is(err, os.ErrNotExist) {
			t.offset = 0
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow the log: %w", err)
		}
		t.file = f
	}
	if err := t.drain(line); err != nil {
		return err
	}
	here, err := t.file.Stat()
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	// What was written to the old file has been read; now look whether there is a new one.
	there, err := os.Stat(t.path)
	if err != nil || !os.SameFile(here, there) {
		t.close()
		t.file, t.offset, t.partial = nil, 0, nil
	}
	return nil
}

func (t *tail) drain(line func([]byte) error) error {
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
		t.partial = append(t.partial, block[:n]...)
		for {
			end := bytes.IndexByte(t.partial, '\n')
			if end < 0 {
				break
			}
			if err := line(t.partial[:end+1]); err != nil {
				return err
			}
			t.partial = t.partial[end+1:]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow the log: %w", err)
		}
	}
}
