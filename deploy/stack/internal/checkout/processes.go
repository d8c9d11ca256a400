package checkout

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a running process of this home.
type Process struct {
	PID  int
	Name string // its program's
	// IsHelper marks a process that a server starts and restarts: it exits with the server.
	IsHelper bool
}

// FindProcesses returns the running programs of the checkout's bin and servers of this home, whichever process started them. It
// ignores other programs with the same PGO_HOME, such as shells and editors.
func (co Checkout) FindProcesses() []Process {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	var out []Process
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() || !co.ownsProcess(pid) {
			continue
		}
		exe, err := os.Readlink(filepath.Join(dir, "exe"))
		if err != nil {
			continue
		}
		exe = strings.TrimSuffix(exe, " (deleted)")
		name := filepath.Base(exe)
		inBin := filepath.Dir(exe) == filepath.Join(co.Root, "bin") && name != "stack"
		if inBin || slices.Contains(serverPrograms(), name) || slices.Contains(helperPrograms(), name) {
			out = append(out, Process{PID: pid, Name: name, IsHelper: slices.Contains(helperPrograms(), name)})
		}
	}
	return out
}

func serverPrograms() []string {
	return []string{"mariadbd", "mysqld", "redis-server", "redis-check-rdb", "valkey-server", "valkey-check-rdb",
		"epmd", "beam.smp", "nginx",
		"prometheus", "prometheus-alertmanager", "alertmanager", "prometheus-node-exporter", "node_exporter", "prometheus-mysqld-exporter",
		"mysqld_exporter", "prometheus-redis-exporter", "redis_exporter", "prometheus-nginx-exporter", "nginx-prometheus-exporter",
		"loki", "jaeger", "otelcol-contrib", "otelcol", "grafana", "grafana-server"}
}

// helperPrograms returns the names of RabbitMQ's helpers.
func helperPrograms() []string { return []string{"erl_child_setup", "inet_gethost"} }

// AwaitExit waits up to two seconds for exiting processes, which no longer show their home.
func AwaitExit(processes []Process) {
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		gone := !slices.ContainsFunc(processes, func(p Process) bool {
			err := syscall.Kill(p.PID, 0)
			return err == nil || err == syscall.EPERM
		})
		if gone {
			return
		}
	}
}
