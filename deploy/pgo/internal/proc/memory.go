package proc

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// OwnMemory returns unused memory of this process to the kernel.
type OwnMemory struct {
	programMaps [][2]uintptr // read-only mappings of the program's own file
}

// NewOwnMemory reads the process's mappings. Where they cannot be read, ReleaseProgram does nothing.
func NewOwnMemory() *OwnMemory {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return &OwnMemory{}
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return &OwnMemory{}
	}
	m := &OwnMemory{}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil {
			continue
		}
		// Writable pages are not a copy of the file.
		if strings.HasSuffix(strings.TrimSpace(line), self) && strings.HasPrefix(rights, "r-") {
			m.programMaps = append(m.programMaps, [2]uintptr{from, to})
		}
	}
	return m
}

// ReleaseUnused releases the memory that only starting needed: garbage and the pages of ReleaseProgram.
func (m *OwnMemory) ReleaseUnused() {
	debug.SetGCPercent(25) // little garbage is made here, and it need not be kept
	debug.FreeOSMemory()
	m.ReleaseProgram()
}

// ReleaseProgram releases the pages of the program itself. Pages that are used again are mapped from its file, so nothing
// is lost; it takes a fraction of a millisecond.
func (m *OwnMemory) ReleaseProgram() {
	for _, part := range m.programMaps {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, part[0], part[1]-part[0], unix.MADV_DONTNEED)
	}
}
