package release

import (
	"debug/elf"
	"encoding/binary"
	"runtime"
)

// Platform is the GOOS and GOARCH of a program. Its zero value is the machine that this runs on.
type Platform struct{ OS, Arch string }

func (p Platform) orHost() Platform {
	if p.OS == "" {
		p.OS = runtime.GOOS
	}
	if p.Arch == "" {
		p.Arch = runtime.GOARCH
	}
	return p
}

func (p Platform) String() string { return p.OS + "/" + p.Arch }

// machine describes the processor of an ELF header.
type machine struct {
	number elf.Machine
	class  elf.Class
	data   elf.Data
}

func (m machine) byteOrder() binary.ByteOrder {
	if m.data == elf.ELFDATA2MSB {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// goArch returns GOARCH, or the ELF specification's name if Go does not support the processor.
func (m machine) goArch() string {
	little, wide := m.data == elf.ELFDATA2LSB, m.class == elf.ELFCLASS64
	switch {
	case m.number == elf.EM_X86_64 && wide:
		return "amd64"
	case m.number == elf.EM_386:
		return "386"
	case m.number == elf.EM_AARCH64 && little:
		return "arm64"
	case m.number == elf.EM_ARM && little:
		return "arm"
	case m.number == elf.EM_RISCV && wide:
		return "riscv64"
	case m.number == elf.EM_LOONGARCH && wide:
		return "loong64"
	case m.number == elf.EM_S390 && wide:
		return "s390x"
	case m.number == elf.EM_PPC64 && little:
		return "ppc64le"
	case m.number == elf.EM_PPC64:
		return "ppc64"
	case m.number == elf.EM_MIPS:
		name := "mips"
		if wide {
			name += "64"
		}
		if little {
			name += "le"
		}
		return name
	}
	return m.number.String()
}

// goOS returns GOOS as the header's ABI implies it; "" if it does not, as on Linux.
func (p *elfProgram) goOS() string {
	switch p.abi {
	case elf.ELFOSABI_NONE:
		return ""
	case elf.ELFOSABI_LINUX: // set by C libraries with indirect functions
		return "linux"
	case elf.ELFOSABI_FREEBSD:
		return "freebsd"
	case elf.ELFOSABI_NETBSD:
		return "netbsd"
	case elf.ELFOSABI_OPENBSD:
		return "openbsd"
	case elf.ELFOSABI_SOLARIS:
		return "solaris"
	}
	return p.abi.String()
}

// detectForeignOS returns the GOOS of programs that are not ELF, by their first bytes; "" for others.
func detectForeignOS(head []byte) string {
	if len(head) < 4 {
		return ""
	}
	if head[0] == 'M' && head[1] == 'Z' {
		return "windows"
	}
	switch binary.BigEndian.Uint32(head) {
	case 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe, 0xcafebabe:
		return "darwin"
	}
	return ""
}
