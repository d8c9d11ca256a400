package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/base64"
	"errors"
	"io"
	"regexp"
)

// The last part of a build ID is a hash of the file's content, which the go command writes after linking: the first 120
// bits of a SHA-256, in which the build ID itself and the content of GNU's build-id note count as zeros. So the build ID
// verifies the whole file but for these two, and nothing that runs depends on them.
// See cmd/go/internal/work/buildid.go and cmd/internal/buildid/rewrite.go in Go's sources.

// buildIDPattern matches a build ID of the go command. A custom ID (-ldflags -buildid=...) verifies nothing.
var buildIDPattern = regexp.MustCompile(`^[^\x00]*/([A-Za-z0-9_-]{20})$`)

const goNote, gnuNote = 4, 3 // types of notes

// readBuildID returns the Go build ID; "" if the file has none.
func (p *elfProgram) readBuildID(c content) (string, error) {
	for _, s := range p.file.Progs {
		if s.Type != elf.PT_NOTE || s.Filesz > maxTableSize {
			continue
		}
		notes, err := c.readPart(s.Off, s.Filesz)
		if err != nil {
			return "", err
		}
		if id := p.findNote(notes, s.Align, "Go\x00\x00", goNote); id != nil {
			return string(id), nil
		}
	}
	return "", nil
}

// findNote returns the content of a note. A note consists of the lengths of its name and content, its type, the name and the
// content, each padded to 4 bytes; the next note starts at the segment's alignment.
func (p *elfProgram) findNote(notes []byte, align uint64, name string, kind uint32) []byte {
	const header = 12
	for rest := notes; len(rest) >= header; {
		nameSize, size := uint64(p.file.ByteOrder.Uint32(rest)), uint64(p.file.ByteOrder.Uint32(rest[4:]))
		start := header + (nameSize+3)&^3
		if start+size > uint64(len(rest)) {
			return nil
		}
		if p.file.ByteOrder.Uint32(rest[8:]) == kind && string(rest[header:header+nameSize]) == name {
			return rest[start : start+size]
		}
		next := uint64(len(notes)-len(rest)) + start + (size+3)&^3
		if align == 8 {
			next = (next + 7) &^ 7
		}
		if next >= uint64(len(notes)) {
			return nil
		}
		rest = notes[next:]
	}
	return nil
}

// locateGNUNote returns the range of the content of GNU's build-id note, or 0, 0.
func (p *elfProgram) locateGNUNote(c content) (from, to int64) {
	for _, s := range p.file.Sections {
		const header = 16 // including the name
		if s.Name != ".note.gnu.build-id" || s.Type == elf.SHT_NOBITS || s.FileSize <= header || s.FileSize > header+64 {
			continue
		}
		note, err := c.readPart(s.Offset, s.FileSize)
		if err != nil || p.findNote(note, 4, "GNU\x00", gnuNote) == nil {
			return 0, 0
		}
		return int64(s.Offset) + header, int64(s.Offset + s.FileSize)
	}
	return 0, 0
}

// verifyBuildID recomputes the hash in the build ID and returns the ID. It returns a *Refusal if the hash differs.
func (p *elfProgram) verifyBuildID(ctx context.Context, c content) (string, error) {
	if uint64(c.size) < p.end {
		return "", newRefusal(Incomplete, "it has %d bytes, and by its headers at least %d", c.size, p.end)
	}
	id, err := p.readBuildID(c)
	if err != nil {
		return "", err
	}
	wanted := buildIDPattern.FindStringSubmatch(id)
	if wanted == nil {
		return "", newRefusal(Unverified, "it has no build ID of the go command: put its SHA-256 beside it, in a file named like it with .sha256 at the end")
	}
	from, to := p.locateGNUNote(c)
	for {
		sum, err := hashWithZeros(ctx, c, []byte(id), from, to)
		if err != nil {
			return "", err
		}
		if base64.URLEncoding.EncodeToString(sum[:15]) == wanted[1] {
			return id, nil
		}
		if from == to {
			break
		}
		from, to = 0, 0 // older releases of Go include GNU's note in the hash
	}
	return "", newRefusal(Mixed, "its content does not match its build ID: a part of it is missing or of another build; one that was stripped after it was built needs its SHA-256 beside it, in a file named like it with .sha256 at the end")
}

// hashWithZeros returns the SHA-256 of a file in which the bytes from..to and all occurrences of id count as zeros.
func hashWithZeros(ctx context.Context, c content, id []byte, from, to int64) ([32]byte, error) {
	const block = 256 << 10
	h, zeros := sha256.New(), make([]byte, len(id))
	buf := make([]byte, 0, block+len(id)) // starts with the unhashed end of the previous block, where an id may start
	for off := int64(0); off < c.size; {
		if err := ctx.Err(); err != nil {
			return [32]byte{}, err
		}
		part := buf[len(buf) : len(buf)+int(min(block, c.size-off))]
		if n, err := c.ReadAt(part, off); n < len(part) {
			if err == nil || errors.Is(err, io.EOF) {
				return [32]byte{}, newRefusal(Incomplete, "it became shorter while it was read")
			}
			return [32]byte{}, err
		}
		if a, b := max(from, off), min(to, off+int64(len(part))); a < b {
			clear(part[a-off : b-off])
		}
		off += int64(len(part))
		rest := buf[:len(buf)+len(part)]
		for {
			i := bytes.Index(rest, id)
			if i < 0 {
				break
			}
			h.Write(rest[:i])
			h.Write(zeros)
			rest = rest[i+len(id):]
		}
		if off < c.size {
			sure := max(0, len(rest)-len(id)+1)
			h.Write(rest[:sure])
			rest = rest[sure:]
		}
		buf = buf[:copy(buf[:cap(buf)], rest)]
		if off == c.size {
			h.Write(buf)
		}
	}
	return [32]byte(h.Sum(nil)), nil
}
