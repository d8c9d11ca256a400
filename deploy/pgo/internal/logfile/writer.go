package logfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Writer writes one log file from any number of pipes. It is the file's only writer, so that it may rotate between two writes.
type Writer struct {
	path string

	mu         sync.Mutex
	policy     Policy
	file       *os.File
	size       int64
	createdAt  time.Time
	unreported lossCount
	reported   lossCount // losses that the log already reports
	background sync.WaitGroup
}

// lossCount counts output that could not be written.
type lossCount struct {
	lines, bytes int64
	isMidLine    bool // it ends within a line
	why          error
}

// NewWriter opens no file yet: the log is created by the first output or by Create.
func NewWriter(path string, p Policy) *Writer { return &Writer{path: path, policy: p} }

// SetPolicy changes the policy of the log.
func (w *Writer) SetPolicy(p Policy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.policy = p
}

// Create creates the file if needed and returns its size.
func (w *Writer) Create() (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size, w.openCurrent()
}

// openCurrent opens the file at the path, or keeps it open: it may have been moved, or truncated in place.
func (w *Writer) openCurrent() error {
	var there unix.Stat_t
	err := unix.Stat(w.path, &there)
	if w.file != nil {
		var here unix.Stat_t
		if err == nil && unix.Fstat(int(w.file.Fd()), &here) == nil && here.Ino == there.Ino && here.Dev == there.Dev {
			w.size = here.Size
			return nil
		}
		w.file.Close()
		w.file = nil
	}
	if err := os.MkdirAll(filepath.Dir(w.path), 0o700); err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	// Without O_APPEND: splice(2) refuses such files. There is no other writer.
	f, err := os.OpenFile(w.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("open the log: %w", err)
	}
	w.file, w.size, w.createdAt = f, info.Size(), creationTime(f)
	if !info.Mode().IsRegular() {
		w.size = 0
	}
	return nil
}

// creationTime returns the creation time of a file, or the current time if the file system does not store it.
func creationTime(f *os.File) time.Time {
	var s unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &s); err == nil && s.Mask&unix.STATX_BTIME != 0 {
		return time.Unix(s.Btime.Sec, int64(s.Btime.Nsec))
	}
	return time.Now()
}

// rotateIfDue rotates the file if it is large or old enough and ends with a whole line. The caller holds the lock.
func (w *Writer) rotateIfDue() {
	p := w.policy
	if w.size < p.MaxSize && (p.MaxAge == 0 || time.Since(w.createdAt) < p.MaxAge) || p.MaxSize == 0 {
		return
	}
	// A file with an endless line is cut all the same, before it fills the disk.
	if last := w.readLastByte(); last != '\n' && w.size < 2*p.MaxSize {
		return
	}
	dir := filepath.Join(filepath.Dir(w.path), rotatedDir)
	to := filepath.Join(dir, strings.TrimSuffix(filepath.Base(w.path), ".log")+"."+time.Now().UTC().Format(rotatedTimeFormat)+".log")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return // better a growing file than a lost line
	}
	if err := os.Rename(w.path, to); err != nil {
		return
	}
	w.file.Close()
	w.file = nil
	_ = w.openCurrent() // the next SpliceFrom returns the error
	w.background.Go(func() { pruneRotated(w.path, p) })
}

func (w *Writer) readLastByte() byte {
	var last [1]byte
	_, _ = w.file.ReadAt(last[:], w.size-1) // 0 is not a newline either
	return last[0]
}

// SpliceFrom moves n bytes from the pipe to the end of the log. splice(2) moves them in one system call: if pgo is killed,
// each byte is in the pipe or in the file. tail receives the end of what was moved.
func (w *Writer) SpliceFrom(pipe, n int, tail io.Writer) (moved int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.openCurrent(); err != nil {
		return 0, err
	}
	w.writeDropNotice()
	at := w.size
	k, err := unix.Splice(pipe, nil, int(w.file.Fd()), &at, n, unix.SPLICE_F_NONBLOCK)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		k, err = w.copyFromPipe(pipe, n)
	}
	if k > 0 {
		w.size += k
		w.copyToTail(k, tail)
		w.rotateIfDue()
	}
	return int(k), err
}

// maxTailCopy bounds the bytes of one move that tail receives.
const maxTailCopy = 8 << 10

func (w *Writer) copyToTail(n int64, tail io.Writer) {
	if tail == nil {
		return
	}
	block := make([]byte, min(n, maxTailCopy))
	if k, _ := w.file.ReadAt(block, w.size-int64(len(block))); k > 0 {
		_, _ = tail.Write(block[:k]) // it only keeps a copy
	}
}

// copyFromPipe serves files that do not support splice. Bytes that were read and could not be written are lost, and counted.
func (w *Writer) copyFromPipe(pipe, n int) (int64, error) {
	if _, err := w.file.WriteAt(nil, w.size); err != nil {
		return 0, err
	}
	block := make([]byte, min(n, 64<<10))
	k, err := unix.Read(pipe, block)
	if err != nil || k <= 0 {
		return 0, err
	}
	m, err := w.file.WriteAt(block[:k], w.size)
	if err != nil {
		w.unreported.add(block[m:k], err)
	}
	return int64(m), err
}

// Discard drops n bytes from the pipe, and the rest of the last line, since the log cannot be written and the process must not
// block. It reports whether the line's end was reached.
func (w *Writer) Discard(pipe, n int, why error) (whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	whole = n > 0 && !w.unreported.isMidLine
	block := make([]byte, 64<<10)
	for {
		size := min(n, len(block))
		if n <= 0 {
			size = 1 // never beyond the line's end
		}
		k, err := unix.Read(pipe, block[:size])
		if err != nil || k <= 0 { // the pipe had less: copyFromPipe lost some of the n bytes
			return whole
		}
		w.unreported.add(block[:k], why)
		whole = block[k-1] == '\n'
		if n -= k; n <= 0 && whole {
			return true
		}
	}
}

func (l *lossCount) add(text []byte, why error) {
	for _, c := range text {
		if c == '\n' {
			l.lines++
		}
	}
	l.bytes += int64(len(text))
	l.isMidLine = text[len(text)-1] != '\n'
	l.why = why
}

// hasPartialLoss reports whether the start of a line was lost whose rest is still to come.
func (w *Writer) hasPartialLoss() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unreported.bytes > 0 && w.unreported.isMidLine
}

// writeDropNotice logs how much was lost, once the log can be written again.
func (w *Writer) writeDropNotice() {
	if w.unreported.bytes == 0 {
		return
	}
	line := fmt.Sprintf("{\"ts\":%q,\"level\":\"error\",\"msg\":\"pgo could not write this log: %d lines (%d bytes) were dropped here\",\"error\":%q}\n",
		time.Now().UTC().Format(time.RFC3339Nano), w.unreported.lines, w.unreported.bytes, w.unreported.why)
	if w.size > 0 && w.readLastByte() != '\n' {
		line = "\n" + line // the disk was full within a line
	}
	n, err := w.file.WriteAt([]byte(line), w.size)
	if err != nil {
		_ = w.file.Truncate(w.size) // half a line helps no one
		return
	}
	w.size += int64(n)
	w.reported.lines += w.unreported.lines
	w.reported.bytes += w.unreported.bytes
	w.unreported = lossCount{}
}

// Dropped returns the output that this writer could not write.
func (w *Writer) Dropped() (lines, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reported.lines + w.unreported.lines, w.reported.bytes + w.unreported.bytes
}

// Size returns the size of the file.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
}

// Clear empties the log and removes its rotated files.
func (w *Writer) Clear() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.background.Wait()
	if err := w.openCurrent(); err != nil {
		return err
	}
	if err := w.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the log: %w", err)
	}
	w.size, w.createdAt = 0, time.Now()
	for _, old := range ListRotated(w.path) {
		if err := os.Remove(old.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("empty the log: %w", err)
		}
	}
	return nil
}

// Close waits for background work and closes the file.
func (w *Writer) Close() {
	w.background.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}
