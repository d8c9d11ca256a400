package main

import (
	"syscall"
	"unsafe"
)

// isatty asks for the terminal's settings, which /dev/null does not have.
func isatty(fd uintptr) bool {
	var settings syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TCGETS, uintptr(unsafe.Pointer(&settings)))
	return errno == 0
}
