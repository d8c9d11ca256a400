// Package logfile moves the output of processes from their pipes into files, rotates those, and reads and follows them.
package logfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ReadLast returns the last n lines of the file that start at offset from or later, and the offset up to which it has read. A
// file that does not exist has no lines.
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

// findLastLines returns the offset of the last n lines of text; 0 if it has no more than n.
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

// pollInterval is the time between two reads of a followed file.
const pollInterval = 200 * time.Millisecond

// FollowLines calls line for each line that is appended to the file after offset, until ctx ends, also in the middle of a file. A truncated or replaced file
// is read from its start; a missing one is waited for.
func FollowLines(ctx context.Context, path string, offset int64, line func([]byte) error) error {
	t := follower{path: path, offset: offset}
	defer t.close()
	every := time.NewTicker(pollInterval)
	defer every.Stop()
	for {
		err := t.readNew(func(text []byte) error {
			if ctx.Err() != nil {
				return ctx.Err() // a fast writer's file has no end
			}
			return line(text)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
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
	currentAt time.Time // when the file was last seen at the path
	partial   []byte    // start of an unfinished line
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
	// Read what was written to the old file since the last read.
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
		return nil //nolint:nilerr // a missing file is waited for
	}
	return t.readNew(line)
}

// rotatedSince returns the files that were rotated after the open file here, which was last at the path at seen.
func rotatedSince(rotated []RotatedFile, here os.FileInfo, seen time.Time) []RotatedFile {
	for i, old := range rotated {
		if info, err := os.Stat(old.Path); err == nil && os.SameFile(info, here) {
			return rotated[i+1:]
		}
	}
	// It is compressed already: it was the first one rotated since.
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

// emitLines appends text and calls line for every finished line.
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

// readLines calls line for every line, including a last one without a newline.
func readLines(in io.Reader, line func([]byte) error) error {
	t := follower{}
	block := make([]byte, 64<<10)
	for {
		n, err := in.Read(block)
		if err := t.emitLines(block[:n], line); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			if len(t.partial) > 0 {
				return line(t.partial)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ReadLines calls line for every line of the file.
func (o RotatedFile) ReadLines(line func([]byte) error) error {
	f, err := os.Open(o.Path)
	if errors.Is(err, os.ErrNotExist) && !o.Compressed {
		o.Compressed = true // compressed since
		f, err = os.Open(o.Path + ".gz")
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil // removed since
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var in io.Reader = f
	if o.Compressed {
		z, err := gzip.NewReader(f)
		if err != nil {
			return err
		}
		in = z
	}
	return readLines(in, line)
}
