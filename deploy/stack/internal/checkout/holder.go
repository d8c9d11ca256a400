package checkout

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// PortHolder describes the process that listens on a port.
type PortHolder struct {
	IsBusy        bool
	BelongsToHome bool   // the process belongs to this home
	PID           int    // 0 if it is unknown
	Description   string // "mariadbd (pid 123)"; "" if it is unknown
}

// FindHolder returns the process that listens on the port of 127.0.0.1. For other users' processes only IsBusy is set.
func (co Checkout) FindHolder(port int) PortHolder {
	if !isPortBusy(port) {
		return PortHolder{}
	}
	holder := PortHolder{IsBusy: true}
	for _, inode := range findListeners(port) {
		for _, pid := range findSocketOwners(inode) {
			holder.PID, holder.Description = pid, fmt.Sprintf("%s (pid %d)", readCommandName(pid), pid)
			// Processes that share the socket may not show their home, such as nginx's workers.
			if holder.BelongsToHome = co.ownsProcess(pid); holder.BelongsToHome {
				return holder
			}
		}
	}
	return holder
}

// ownsProcess reports whether a process belongs to this home, by PGO_HOME in its environment. nginx overwrites its environment
// with its title, which contains the configuration's path.
func (co Checkout) ownsProcess(pid int) bool {
	if cmdline, err := os.ReadFile(procPath(pid, "cmdline")); err == nil && bytes.HasPrefix(cmdline, []byte("nginx: ")) {
		return bytes.Contains(cmdline, []byte(" "+co.Path("etc", "nginx.conf")+" "))
	}
	environ, err := os.ReadFile(procPath(pid, "environ"))
	if err != nil {
		return false
	}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if string(entry) == "PGO_HOME="+co.Home {
			return true
		}
	}
	return false
}

// findListeners returns the inodes of the sockets that listen on port, on any address.
func findListeners(port int) []string {
	var inodes []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			// sl local_address rem_address st ... uid timeout inode; 0A is LISTEN.
			c := strings.Fields(lines.Text())
			if len(c) < 10 || c[3] != "0A" {
				continue
			}
			n, err := strconv.ParseUint(c[1][strings.LastIndexByte(c[1], ':')+1:], 16, 32)
			if err == nil && int(n) == port {
				inodes = append(inodes, c[9])
			}
		}
		f.Close()
	}
	return inodes
}

func findSocketOwners(inode string) []int {
	want := "socket:[" + inode + "]"
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return nil
	}
	var pids []int
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && target == want {
			if pid, err := strconv.Atoi(strings.Split(fd, "/")[2]); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func readCommandName(pid int) string {
	name, err := os.ReadFile(procPath(pid, "comm"))
	if err != nil {
		return "a process"
	}
	return strings.TrimSpace(string(name))
}

func procPath(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
