package proc

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Shrink gives back memory that only starting has needed: garbage, and DropProgram's.
func Shrink() {
	debug.SetGCPercent(25) // little garbage is made here, and it need not be kept
	debug.FreeOSMemory()
	DropProgram()
}

// DropProgram gives back the pages of the program itself. Those that are used again are mapped from its file when they
// are, so nothing can be lost by it; it takes a fraction of a millisecond.
func DropProgram() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil {
			continue
		}
		// What can be written to is no copy of the file.
		if strings.HasSuffix(strings.TrimSpace(line), self) && strings.HasPrefix(rights, "r-") {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}
