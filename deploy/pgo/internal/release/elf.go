package release

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// elfProgram holds the headers of an ELF file. debug/elf does not replace it: it cannot tell a file that ends too early, as
// one that is still being uploaded does, from one that is not a program.
type elfProgram struct {
	machine  machine
	abi      elf.OSABI
	kind     elf.Type
	entry    uint64
	segments []extent
	sections []extent // only those that take space in the file
	end      uint64   // minimum size of the file
}

// extent is a range of a file that a header describes.
type extent struct {
	kind      uint32 // elf.ProgType or elf.SectionType
	name      string // of a section, if it could be read
	off, size uint64
	align     uint64 // of a segment
}

const (
	elfMagic = "\x7fELF"
	// maxTableSize bounds a table of names and a note of a toolchain.
	maxTableSize = 1 << 20
)

// content is a file's content of known size.
type content struct {
	io.ReaderAt
	size int64
}

// readProgram reads the headers. It returns a *Refusal if they do not describe a program.
func readProgram(c content) (*elfProgram, error) {
	ident, err := c.readPart(0, elf.EI_NIDENT)
	if err != nil {
		return nil, err
	}
	p := &elfProgram{
		machine: machine{class: elf.Class(ident[elf.EI_CLASS]), data: elf.Data(ident[elf.EI_DATA])},
		abi:     elf.OSABI(ident[elf.EI_OSABI]),
	}
	known := (p.machine.class == elf.ELFCLASS32 || p.machine.class == elf.ELFCLASS64) && (p.machine.data == elf.ELFDATA2LSB || p.machine.data == elf.ELFDATA2MSB)
	if !known || elf.Version(ident[elf.EI_VERSION]) != elf.EV_CURRENT {
		return nil, newRefusal(NotExecutable, "its ELF header is damaged")
	}
	h, err := p.readHeader(c)
	if err != nil {
		return nil, err
	}
	p.machine.number, p.kind, p.entry = elf.Machine(h.Machine), elf.Type(h.Type), h.Entry
	if p.segments, err = p.readSegments(c, h); err != nil {
		return nil, err
	}
	if p.sections, err = p.readSections(c, h); err != nil {
		return nil, err
	}
	for _, parts := range [][]extent{p.segments, p.sections} {
		for _, e := range parts {
			if e.off > math.MaxInt64 || e.size > math.MaxInt64 {
				return nil, newRefusal(NotExecutable, "its ELF header is damaged")
			}
			p.end = max(p.end, e.off+e.size)
		}
	}
	return p, nil
}

// readHeader reads the file's header, and converts a 32-bit one to the 64-bit form.
func (p *elfProgram) readHeader(c content) (elf.Header64, error) {
	if p.machine.class == elf.ELFCLASS64 {
		h, err := readTable[elf.Header64](c, p.machine.byteOrder(), 0, 1)
		if err != nil {
			return elf.Header64{}, err
		}
		return h[0], checkEntrySizes[elf.Prog64, elf.Section64](h[0])
	}
	narrow, err := readTable[elf.Header32](c, p.machine.byteOrder(), 0, 1)
	if err != nil {
		return elf.Header64{}, err
	}
	n := narrow[0]
	h := elf.Header64{
		Type: n.Type, Machine: n.Machine, Entry: uint64(n.Entry),
		Phoff: uint64(n.Phoff), Phentsize: n.Phentsize, Phnum: n.Phnum,
		Shoff: uint64(n.Shoff), Shentsize: n.Shentsize, Shnum: n.Shnum, Shstrndx: n.Shstrndx,
	}
	return h, checkEntrySizes[elf.Prog32, elf.Section32](h)
}

// checkEntrySizes returns a *Refusal if the entries of the header's tables have invalid sizes.
func checkEntrySizes[Segment, Section any](h elf.Header64) error {
	switch {
	case h.Phnum == 0:
		return newRefusal(NotExecutable, "it has nothing to load")
	case int(h.Phentsize) != binary.Size(*new(Segment)), h.Shnum != 0 && int(h.Shentsize) != binary.Size(*new(Section)):
		return newRefusal(NotExecutable, "its ELF header is damaged")
	}
	return nil
}

func (p *elfProgram) readSegments(c content, h elf.Header64) ([]extent, error) {
	var parts []extent
	if p.machine.class == elf.ELFCLASS64 {
		wide, err := readTable[elf.Prog64](c, p.machine.byteOrder(), h.Phoff, h.Phnum)
		for _, e := range wide {
			parts = append(parts, extent{kind: e.Type, off: e.Off, size: e.Filesz, align: e.Align})
		}
		return parts, err
	}
	narrow, err := readTable[elf.Prog32](c, p.machine.byteOrder(), h.Phoff, h.Phnum)
	for _, e := range narrow {
		parts = append(parts, extent{kind: e.Type, off: uint64(e.Off), size: uint64(e.Filesz), align: uint64(e.Align)})
	}
	return parts, err
}

func (p *elfProgram) readSections(c content, h elf.Header64) ([]extent, error) {
	if h.Shoff == 0 || h.Shnum == 0 {
		return nil, nil // a program need not have any
	}
	var all []elf.Section64
	if p.machine.class == elf.ELFCLASS64 {
		wide, err := readTable[elf.Section64](c, p.machine.byteOrder(), h.Shoff, h.Shnum)
		if err != nil {
			return nil, err
		}
		all = wide
	} else {
		narrow, err := readTable[elf.Section32](c, p.machine.byteOrder(), h.Shoff, h.Shnum)
		if err != nil {
			return nil, err
		}
		for _, e := range narrow {
			all = append(all, elf.Section64{Name: e.Name, Type: e.Type, Off: uint64(e.Off), Size: uint64(e.Size)})
		}
	}
	var names []byte
	if i := int(h.Shstrndx); i < len(all) && all[i].Size <= maxTableSize {
		var err error
		if names, err = c.readPart(all[i].Off, all[i].Size); err != nil {
			return nil, err
		}
	}
	var parts []extent
	for _, e := range all {
		if t := elf.SectionType(e.Type); t != elf.SHT_NULL && t != elf.SHT_NOBITS {
			parts = append(parts, extent{kind: e.Type, name: sectionName(names, e.Name), off: e.Off, size: e.Size})
		}
	}
	return parts, nil
}

func sectionName(names []byte, at uint32) string {
	if uint64(at) >= uint64(len(names)) {
		return ""
	}
	name, _, _ := bytes.Cut(names[at:], []byte{0})
	return string(name)
}

// readTable reads n entries of type T.
func readTable[T any](c content, order binary.ByteOrder, off uint64, n uint16) ([]T, error) {
	raw, err := c.readPart(off, uint64(n)*uint64(binary.Size(*new(T))))
	if err != nil {
		return nil, err
	}
	entries := make([]T, n)
	if _, err := binary.Decode(raw, order, entries); err != nil {
		return nil, fmt.Errorf("read its headers: %w", err)
	}
	return entries, nil
}

// readPart reads a part that the headers require. It returns a *Refusal if the file ends before.
func (c content) readPart(off, n uint64) ([]byte, error) {
	if size := uint64(c.size); off > size || n > size-off {
		return nil, newRefusal(Incomplete, "it ends at byte %d, before all of its headers", c.size)
	}
	if n == 0 {
		return nil, nil
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
