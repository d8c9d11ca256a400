package release

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"io"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLinkedVersion is the maximum length in bytes of a version that the linker has set.
const maxLinkedVersion = 100

// ReadVersion returns the version that the file of a Go program holds, without running it: the value of main.version, which
// the linker sets (-X), else the version of its module or its revision in Go's build information. It returns "" if the file
// holds none, as that of a stripped program that was built with -trimpath outside of a repository.
func ReadVersion(path string) string {
	f, info, err := openRegular(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	c := content{f, info.Size()}
	build, err := buildinfo.Read(c)
	if err != nil {
		return "" // not Go
	}
	settings := map[string]string{}
	for _, s := range build.Settings {
		settings[s.Key] = s.Value
	}
	version := parseLinkerFlags(settings["-ldflags"])
	if version == "" {
		version = readLinkedVersion(c)
	}
	if version == "" && build.Main.Version != "(devel)" {
		version = build.Main.Version
	}
	if revision := settings["vcs.revision"]; version == "" && revision != "" {
		version = revision[:min(12, len(revision))]
		if settings["vcs.modified"] == "true" {
			version += "-dirty"
		}
	}
	return version
}

// versionNames are the variables that hold a program's version by convention.
var versionNames = []string{"main.version", "main.Version"}

// parseLinkerFlags returns the value of main.version in the linker's flags, which the build information has of a program that
// was built without -trimpath.
func parseLinkerFlags(flags string) string {
	for word := range strings.FieldsSeq(flags) {
		name, value, _ := strings.Cut(strings.Trim(strings.TrimPrefix(word, "-X="), `'"`), "=")
		if slices.Contains(versionNames, name) {
			return strings.Trim(value, `'"`)
		}
	}
	return ""
}

// readLinkedVersion returns the value of main.version, which the symbol table of a program that was not stripped leads to.
func readLinkedVersion(c content) string {
	file, err := elf.NewFile(io.NewSectionReader(c, 0, c.size))
	if err != nil || file.Class != elf.ELFCLASS64 {
		return ""
	}
	symbols := file.SectionByType(elf.SHT_SYMTAB)
	if symbols == nil || int(symbols.Link) >= len(file.Sections) {
		return ""
	}
	names, err := file.Sections[symbols.Link].Data()
	if err != nil {
		return ""
	}
	table, err := symbols.Data()
	if err != nil {
		return ""
	}
	for _, name := range versionNames {
		at := bytes.Index(names, []byte("\x00"+name+"\x00"))
		if at < 0 {
			continue
		}
		for entry := range slices.Chunk(table, elf.Sym64Size) {
			if len(entry) == elf.Sym64Size && file.ByteOrder.Uint32(entry) == uint32(at+1) {
				return readString(file, file.ByteOrder.Uint64(entry[8:]))
			}
		}
	}
	return ""
}

// readString returns the Go string whose header is at an address of the program; "" if it is not one of printable text.
func readString(file *elf.File, addr uint64) string {
	header := readMemory(file, addr, 16)
	if header == nil {
		return ""
	}
	length := file.ByteOrder.Uint64(header[8:])
	if length > maxLinkedVersion {
		return ""
	}
	text := string(readMemory(file, file.ByteOrder.Uint64(header), length))
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return text
}

// readMemory returns n bytes that the program has at an address when it starts; nil if the file does not hold them.
func readMemory(file *elf.File, addr, n uint64) []byte {
	for _, p := range file.Progs {
		if p.Type != elf.PT_LOAD || addr < p.Vaddr || addr-p.Vaddr > math.MaxInt64-n || addr-p.Vaddr+n > p.Filesz {
			continue
		}
		part := make([]byte, n)
		if _, err := p.ReadAt(part, int64(addr-p.Vaddr)); err != nil {
			return nil
		}
		return part
	}
	return nil
}
