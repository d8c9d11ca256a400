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

// goArch returns GOARCH, or the ELF specification's name if Go does not support the processor.
func (p *elfProgram) goArch() string {
	machine, little, wide := p.file.Machine, p.file.Data == elf.ELFDATA2LSB, p.file.Class == elf.ELFCLASS64
	switch {
	case machine == elf.EM_X86_64 && wide:
		return "amd64"
	case machine == elf.EM_386:
		return "386"
	case machine == elf.EM_AARCH64 && little:
		return "arm64"
	case machine == elf.EM_ARM && little:
		return "arm"
	case machine == elf.EM_RISCV && wide:
		return "riscv64"
	case machine == elf.EM_LOONGARCH && wide:
		return "loong64"
	case machine == elf.EM_S390 && wide:
		return "s390x"
	case machine == elf.EM_PPC64 && little:
		return "ppc64le"
	case machine == elf.EM_PPC64:
		return "ppc64"
	case machine == elf.EM_MIPS:
		name := "mips"
		if wide {
			name += "64"
		}
		if little {
			name += "le"
		}
		return name
	}
	return machine.String()
}

// goOS returns GOOS as the header's ABI implies it; "" if it does not, as on Linux.
func (p *elfProgram) goOS() string {
	switch p.file.OSABI {
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
	return p.file.OSABI.String()
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
