package release

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// elfFixture encodes the smallest valid program: headers, a Go build ID, GNU's note and some content. It follows the format's
// specification and uses none of the code under test.
type elfFixture struct {
	narrow, big bool // 32 bits, big-endian
	machine     elf.Machine
	body        string
	id          string // the build ID without its last part; "-" for none
}

func (o elfFixture) encode() []byte {
	order := binary.ByteOrder(binary.LittleEndian)
	data := elf.ELFDATA2LSB
	if o.big {
		order, data = binary.BigEndian, elf.ELFDATA2MSB
	}
	note := func(name string, kind uint32, content string) string {
		var b bytes.Buffer
		for _, n := range []uint32{4, uint32(len(content)), kind} {
			_ = binary.Write(&b, order, n)
		}
		b.WriteString(name + content)
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
		return b.String()
	}
	id := o.id
	if id == "" {
		id = "action/main/content"
	}
	id += "/" + strings.Repeat("x", 20)
	goNote, hostNote := note("Go\x00\x00", 4, id), note("GNU\x00", 3, strings.Repeat("g", 20))
	if o.id == "-" {
		goNote = note("Go\x00\x00", 4, "")
	}
	names := "\x00.note.gnu.build-id\x00.shstrtab\x00"

	ident := [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(data), 1}
	var head any
	sizes := []int{64, 56, 64}
	if o.narrow {
		ident[4], sizes = byte(elf.ELFCLASS32), []int{52, 32, 40}
	}
	notes := sizes[0] + sizes[1] + 3*sizes[2]
	host, body := notes+len(goNote), notes+len(goNote)+len(hostNote)
	strtab := body + len(o.body)
	var b bytes.Buffer
	if o.narrow {
		head = elf.Header32{Ident: ident, Type: 2, Machine: uint16(o.machine), Version: 1, Entry: 1, Phoff: uint32(sizes[0]), Shoff: uint32(sizes[0] + sizes[1]),
			Phentsize: 32, Phnum: 1, Shentsize: 40, Shnum: 3, Shstrndx: 2}
		_ = binary.Write(&b, order, head)
		_ = binary.Write(&b, order, elf.Prog32{Type: uint32(elf.PT_NOTE), Off: uint32(notes), Filesz: uint32(len(goNote)), Align: 4})
		_ = binary.Write(&b, order, []elf.Section32{{},
			{Name: 1, Type: uint32(elf.SHT_NOTE), Off: uint32(host), Size: uint32(len(hostNote))},
			{Name: 20, Type: uint32(elf.SHT_STRTAB), Off: uint32(strtab), Size: uint32(len(names))}})
	} else {
		head = elf.Header64{Ident: ident, Type: 2, Machine: uint16(o.machine), Version: 1, Entry: 1, Phoff: uint64(sizes[0]), Shoff: uint64(sizes[0] + sizes[1]),
			Phentsize: 56, Phnum: 1, Shentsize: 64, Shnum: 3, Shstrndx: 2}
		_ = binary.Write(&b, order, head)
		_ = binary.Write(&b, order, elf.Prog64{Type: uint32(elf.PT_NOTE), Off: uint64(notes), Filesz: uint64(len(goNote)), Align: 4})
		_ = binary.Write(&b, order, []elf.Section64{{},
			{Name: 1, Type: uint32(elf.SHT_NOTE), Off: uint64(host), Size: uint64(len(hostNote))},
			{Name: 20, Type: uint32(elf.SHT_STRTAB), Off: uint64(strtab), Size: uint64(len(names))}})
	}
	b.WriteString(goNote + hostNote + o.body + names)
	whole := b.Bytes()
	masked := bytes.ReplaceAll(bytes.Clone(whole), []byte(id), make([]byte, len(id)))
	clear(masked[host+16 : body])
	sum := sha256.Sum256(masked)
	verified := id[:len(id)-20] + base64.URLEncoding.EncodeToString(sum[:15])
	return bytes.ReplaceAll(whole, []byte(id), []byte(verified))
}

// writeFile writes a file with the given mode and modification time.
func writeFile(t testing.TB, path string, text []byte, mode fs.FileMode, at time.Time) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeScript writes a script and the checksum file that verifies it.
func writeScript(t testing.TB, path, text string) string {
	t.Helper()
	text = "#!/bin/sh\n" + text + "\n"
	writeFile(t, SumFilePath(path), fmt.Appendf(nil, "%x  %s\n", sha256.Sum256([]byte(text)), filepath.Base(path)), 0o644, time.Now())
	return writeFile(t, path, []byte(text), 0o755, time.Now())
}
