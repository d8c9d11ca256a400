// Package delta encodes a file as its difference to another file that the reader has, and decodes it.
//
// A program that is rebuilt after a small change is the old one with most addresses a little off: long stretches are the same
// but for a byte here and there. So a stretch is encoded as its offset in the old file and the difference of each byte, which
// is mostly zero, and all of that is compressed with zstd. A zstd dictionary would do as well, but would need both files in
// memory on both sides; here the reader needs one block.
//
// Decode does not verify the result: the caller compares its SHA-256.
package delta

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Bounds of the memory that both sides need besides the files, in bytes: the window of zstd, and one block.
const (
	windowSize = 4 << 20
	blockSize  = 64 << 10
)

// ErrDamaged is returned for input that Encode did not write, or not with this old file.
var ErrDamaged = errors.New("the difference is damaged")

// Encode writes the difference of new to old, which may be empty. Beside both it needs memory for a fifth of old's size.
func Encode(w io.Writer, old, new []byte) error {
	z, err := zstd.NewWriter(w, zstd.WithWindowSize(windowSize), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	to := &writer{z: z, buf: make([]byte, 0, blockSize)}
	for s := range findStretches(old, new) {
		to.writeStretch(s, old, new)
		if to.err != nil {
			break
		}
	}
	to.flush()
	if err := errors.Join(to.err, z.Close()); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return nil
}

// writer encodes stretches in blocks. It keeps the first error.
type writer struct {
	z   io.Writer
	buf []byte
	err error
}

func (t *writer) writeStretch(s stretch, old, new []byte) {
	var head [3 * binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(s.start-s.fresh))
	n += binary.PutUvarint(head[n:], uint64(s.end-s.start))
	n += binary.PutUvarint(head[n:], uint64(s.from))
	t.write(head[:n])
	t.write(new[s.fresh:s.start])
	for at := s.start; at < s.end; {
		if len(t.buf) == cap(t.buf) {
			t.flush()
		}
		n := min(s.end-at, cap(t.buf)-len(t.buf))
		a, b := new[at:at+n], old[s.from+at-s.start:]
		for i, c := range a {
			t.buf = append(t.buf, c-b[i])
		}
		at += n
	}
}

func (t *writer) write(p []byte) {
	for len(p) > 0 {
		if len(t.buf) == cap(t.buf) {
			t.flush()
		}
		n := min(len(p), cap(t.buf)-len(t.buf))
		t.buf = append(t.buf, p[:n]...)
		p = p[n:]
	}
}

func (t *writer) flush() {
	if t.err == nil {
		_, t.err = t.z.Write(t.buf)
	}
	t.buf = t.buf[:0]
}

// Decode writes the new file, of the given size in bytes, out of the old one and the difference that Encode wrote. It never
// writes more than size bytes. It returns ErrDamaged if the input does not lead to a file of that size.
func Decode(w io.Writer, r io.Reader, old io.ReaderAt, oldSize, size int64) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(windowSize), zstd.WithDecoderMaxMemory(2*windowSize+uint64(size)), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("decompress: %w", err)
	}
	defer z.Close()
	from := &reader{in: bufio.NewReaderSize(z, blockSize), old: old, oldSize: uint64(oldSize), out: w, left: uint64(size)}
	for from.left > 0 {
		if err := from.readStretch(); err != nil {
			return err
		}
	}
	if _, err := from.in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it continues after its end", ErrDamaged)
	}
	return nil
}

// reader decodes stretches.
type reader struct {
	in         *bufio.Reader
	old        io.ReaderAt
	oldSize    uint64
	out        io.Writer
	left       uint64 // bytes of the new file that are still to come
	part, like [blockSize]byte
}

func (f *reader) readStretch() error {
	fresh, err1 := binary.ReadUvarint(f.in)
	like, err2 := binary.ReadUvarint(f.in)
	from, err3 := binary.ReadUvarint(f.in)
	if err := errors.Join(err1, err2, err3); err != nil {
		return wrapReadError(err)
	}
	switch {
	case fresh > f.left, like > f.left-fresh, fresh+like == 0:
		return fmt.Errorf("%w: it is longer than announced", ErrDamaged)
	case from > f.oldSize, like > f.oldSize-from:
		return fmt.Errorf("%w: it refers to more of the old file than there is", ErrDamaged)
	}
	f.left -= fresh + like
	for fresh > 0 {
		n := min(fresh, blockSize)
		if err := f.copyPart(f.part[:n], nil); err != nil {
			return err
		}
		fresh -= n
	}
	for like > 0 {
		n := min(like, blockSize)
		if got, err := f.old.ReadAt(f.like[:n], int64(from)); uint64(got) < n {
			return fmt.Errorf("read the old file: %w", err)
		}
		if err := f.copyPart(f.part[:n], f.like[:n]); err != nil {
			return err
		}
		from, like = from+n, like-n
	}
	return nil
}

// copyPart reads a part, adds the bytes of add, and writes it.
func (f *reader) copyPart(part, add []byte) error {
	if _, err := io.ReadFull(f.in, part); err != nil {
		return wrapReadError(err)
	}
	for i, c := range add {
		part[i] += c
	}
	_, err := f.out.Write(part)
	return err
}

// wrapReadError returns ErrDamaged for wrong or incomplete input, and other errors of reading as they are.
func wrapReadError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	for _, known := range []error{zstd.ErrMagicMismatch, zstd.ErrWindowSizeExceeded, zstd.ErrDecoderSizeExceeded, zstd.ErrCRCMismatch, zstd.ErrReservedBlockType, zstd.ErrCompressedSizeTooBig} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return fmt.Errorf("read the difference: %w", err)
}
