package proc

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// OwnMemory gives back what this process holds and does not need.
type OwnMemory struct {
	programMaps [][2]uintptr // where its own file is mapped, and not to be written to
}

// NewOwnMemory looks at what is mapped; that of the program stays where it is. Where it cannot look, less is given back.
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
		// What can be written to is no copy of the file.
		if strings.HasSuffix(strings.TrimSpace(line), self) && strings.HasPrefix(rights, "r-") {
			m.programMaps = append(m.programMaps, [2]uintptr{from, to})
		}
	}
	return m
}

// ReleaseUnused gives back what only starting has needed: garbage, and ReleaseProgram's.
func (m *OwnMemory) ReleaseUnused() {
	debug.SetGCPercent(25) // little garbage is made here, and it need not be kept
	debug.FreeOSMemory()
	m.ReleaseProgram()
}

// ReleaseProgram gives back the pages of the program itself. Those that are used again are mapped from its file when they
// are, so nothing can be lost by it; it takes a fraction of a millisecond.
func (m *OwnMemory) ReleaseProgram() {
	for _, part := range m.programMaps {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, part[0], part[1]-part[0], unix.MADV_DONTNEED)
	}
}
