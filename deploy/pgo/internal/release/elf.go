package release

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"math"
)

// elfProgram is an ELF file's headers.
type elfProgram struct {
	file *elf.File
	end  uint64 // minimum size of the file
}

const (
	elfMagic = "\x7fELF"
	// maxTableSize bounds a sum file and a note of a toolchain.
	maxTableSize = 1 << 20
)

// content is a file's content of known size.
type content struct {
	io.ReaderAt
	size int64
}

// readProgram reads the headers. It returns a *Refusal if they do not describe a program: Incomplete if the file ends before
// a part of them, as one does that is still being uploaded.
func readProgram(c content) (*elfProgram, error) {
	file, err := elf.NewFile(io.NewSectionReader(c, 0, c.size))
	damage, isDamaged := errors.AsType[*elf.FormatError](err)
	switch {
	case isDamaged:
		return nil, newRefusal(NotExecutable, "its ELF header is damaged: %v", damage)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, newRefusal(Incomplete, "it ends at byte %d, before all of its headers", c.size)
	case err != nil:
		return nil, fmt.Errorf("read its headers: %w", err)
	case len(file.Progs) == 0:
		return nil, newRefusal(NotExecutable, "it has nothing to load")
	}
	p := &elfProgram{file: file}
	for _, s := range file.Progs {
		err = errors.Join(err, p.extend(s.Off, s.Filesz))
	}
	for _, s := range file.Sections {
		if s.Type != elf.SHT_NULL && s.Type != elf.SHT_NOBITS {
			err = errors.Join(err, p.extend(s.Offset, s.FileSize))
		}
	}
	return p, err
}

// extend makes the file's minimum size cover a part of it.
func (p *elfProgram) extend(off, size uint64) error {
	if off > math.MaxInt64 || size > math.MaxInt64 {
		return newRefusal(NotExecutable, "its ELF header is damaged")
	}
	p.end = max(p.end, off+size)
	return nil
}

// readPart reads a part of the file. It returns a *Refusal if the file ends before.
func (c content) readPart(off, n uint64) ([]byte, error) {
	if size := uint64(c.size); off > size || n > size-off {
		return nil, newRefusal(Incomplete, "it ends at byte %d, before all of its headers", c.size)
	}
	part := make([]byte, n)
	if got, err := c.ReadAt(part, int64(off)); got < len(part) {
		if errors.Is(err, io.EOF) {
			return nil, newRefusal(Incomplete, "it became shorter while it was read")
		}
		return nil, fmt.Errorf("read its headers: %w", err)
	}
	return part, nil
}
