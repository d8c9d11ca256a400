package main

import (
	"os"
	"syscall"
	"unsafe"
)

// isTerminal reports whether a person can be asked on f.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	return isatty(f.Fd())
}

// isatty reads the terminal's settings, which /dev/null does not have.
func isatty(fd uintptr) bool {
	var settings syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TCGETS, uintptr(unsafe.Pointer(&settings)))
	return errno == 0
}
