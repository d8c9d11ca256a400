package release

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// EqualContent reports whether the program that runs is what the file holds. running is its /proc/PID/exe: its own file may be
// deleted. What runs of a script is its interpreter, so a script counts as equal.
func EqualContent(running, file string) (bool, error) {
	fa, err := os.Open(running)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	infoA, errA := fa.Stat()
	infoB, errB := fb.Stat()
	if err := errors.Join(errA, errB); err != nil {
		return false, err
	}
	if os.SameFile(infoA, infoB) {
		return true, nil // a program that runs cannot be written to
	}
	magic := make([]byte, 4)
	if _, err := fb.ReadAt(magic, 0); err != nil || string(magic) != "\x7fELF" {
		return true, nil // a script: what runs is its interpreter, which tells nothing
	}
	if infoA.Size() != infoB.Size() {
		return false, nil
	}
	const block = 256 << 10
	bufA, bufB := make([]byte, block), make([]byte, block)
	for {
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			endA := errors.Is(errA, io.EOF) || errors.Is(errA, io.ErrUnexpectedEOF)
			endB := errors.Is(errB, io.EOF) || errors.Is(errB, io.ErrUnexpectedEOF)
			if endA && endB {
				return true, nil
			}
			return false, errors.Join(errA, errB)
		}
	}
}
