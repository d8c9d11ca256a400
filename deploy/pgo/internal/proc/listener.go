package proc

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// FindListener returns the program that listens on a TCP port, as "nginx (pid 12)". It returns "" if that is not known, as
// for processes of other users.
func FindListener(addr netip.AddrPort) string {
	sockets := listeningSockets("/proc/net")
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is valid
	for _, file := range files {
		target, err := os.Readlink(file)
		if err != nil || sockets[target].Port() != addr.Port() {
			continue
		}
		pid := strings.Split(file, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}

// ListListeners returns the TCP addresses at which a process listens. It returns none if they are not known, as for a
// process of another user.
func ListListeners(pid int) []netip.AddrPort {
	dir := "/proc/" + strconv.Itoa(pid)
	sockets := listeningSockets(dir + "/net")
	files, _ := filepath.Glob(dir + "/fd/*") // the pattern is valid
	var found []netip.AddrPort
	for _, file := range files {
		target, err := os.Readlink(file)
		if addr, ok := sockets[target]; err == nil && ok && !slices.Contains(found, addr) {
			found = append(found, addr)
		}
	}
	return found
}

// listeningSockets returns the listening sockets by the link target of their descriptors. dir is a process's net directory.
func listeningSockets(dir string) map[string]netip.AddrPort {
	sockets := map[string]netip.AddrPort{}
	for _, table := range []string{"tcp", "tcp6"} {
		content, err := os.ReadFile(filepath.Join(dir, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(content)) {
			// sl local_address rem_address st ... inode; 0A is LISTEN.
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" {
				continue
			}
			if addr, ok := parseAddress(f[1]); ok {
				sockets["socket:["+f[9]+"]"] = addr
			}
		}
	}
	return sockets
}

// parseAddress parses ADDRESS:PORT of the kernel's tables: hexadecimal, the address in words of the machine's byte order.
func parseAddress(text string) (netip.AddrPort, bool) {
	ip, port, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	words, err := hex.DecodeString(ip)
	if err != nil || len(words)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for at := 0; at < len(words); at += 4 {
		binary.BigEndian.PutUint32(words[at:], binary.NativeEndian.Uint32(words[at:]))
	}
	addr, ok := netip.AddrFromSlice(words)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}
