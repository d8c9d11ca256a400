//go:build faults

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kill kills a part as kill -9 does. pgo starts it again.
func (r *faultRun) kill(t *testing.T, part string) {
	t.Helper()
	signalTree(t, r.s.list()[part].PID, syscall.SIGKILL)
}

// freezeRabbitMQ stops RabbitMQ's processes from running, and continues them later. Its connections stay open meanwhile.
func freezeRabbitMQ(t *testing.T, r *faultRun) {
	pid := r.s.list()["rabbitmq"].PID
	signalTree(t, pid, syscall.SIGSTOP)
	defer signalTree(t, pid, syscall.SIGCONT)
	r.hold(*faultsFreeze)
}

// signalTree sends a signal to a process and its descendants.
func signalTree(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if pid <= 0 {
		t.Fatalf("pid %d cannot get %v: the part does not run", pid, sig)
	}
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		children[parent] = append(children[parent], child)
	}
	for tree := []int{pid}; len(tree) > 0; tree = tree[1:] {
		if err := syscall.Kill(tree[0], sig); err != nil && tree[0] == pid {
			t.Fatalf("send %v to pid %d: %v", sig, pid, err)
		}
		tree = append(tree, children[tree[0]]...)
	}
}

// emptyRedis removes every key of Redis: cached rows, and the counters of sign-ins and mails.
func emptyRedis(t *testing.T, r *faultRun) {
	conn, err := net.Dial("tcp", r.s.env(t)["REDIS_ADDR"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "AUTH pgo_admin %s\r\nFLUSHALL\r\n", r.s.secret("redis_admin_password"))
	answers := bufio.NewReader(conn)
	for range 2 {
		if line, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
			t.Fatalf("FLUSHALL: %q, %v", line, err)
		}
	}
}

// cutTransactions ends connections of the services' in the middle of their transactions, and one time all of their connections.
func cutTransactions(t *testing.T, r *faultRun) {
	const inTransaction = `SELECT p.id FROM information_schema.innodb_trx x JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id WHERE p.user IN ('user', 'school', 'task')`
	const enough = 20
	cut := 0
	for began := time.Now(); cut < enough && time.Since(began) < *faultsLimit; time.Sleep(5 * time.Millisecond) {
		cut += r.killConnections(t, inTransaction)
	}
	all := r.killConnections(t, `SELECT id FROM information_schema.processlist WHERE user IN ('user', 'school', 'task')`)
	t.Logf("%d transactions were cut, and %d connections at once", cut, all)
	if cut < enough || all == 0 {
		t.Errorf("%d transactions were cut, want %d", cut, enough)
	}
}

// killConnections ends the connections that the query returns, and counts those that were there to end.
func (r *faultRun) killConnections(t *testing.T, query string) int {
	t.Helper()
	rows, err := r.db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, id := range ids {
		if _, err := r.db.Exec(fmt.Sprintf("KILL %d", id)); err == nil { // else it has ended meanwhile
			killed++
		}
	}
	return killed
}

// advanceClock deploys a build of the service whose clock is five minutes ahead, and the original again later.
func (r *faultRun) advanceClock(t *testing.T, service string) {
	program := filepath.Join(r.s.root, "bin", service)
	original := filepath.Join("..", "..", "bin", service)
	r.deploy(t, service, func() { replaceProgram(t, r.ahead, program) })
	r.hold(*faultsClock)
	r.deploy(t, service, func() { replaceProgram(t, original, program) })
}

// deploy replaces a service's program and waits until the new one serves.
func (r *faultRun) deploy(t *testing.T, service string, replace func()) {
	t.Helper()
	before := r.s.list()[service].PID
	replace()
	r.s.ready(service, before)
}

// buildAhead builds a service whose wall clock is five minutes ahead and returns the program's path. Nothing but time.Now of the
// standard library differs from the program that ships, so every part of the service sees that clock, and its timers run on as
// after a real change of the clock. libfaketime does not reach programs of Go, which ask the kernel without the C library.
func buildAhead(t *testing.T, service string) string {
	t.Helper()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env GOROOT: %v", err)
	}
	source := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const reading = "sec, nsec, mono := runtimeNow()\n"
	if n := strings.Count(string(text), reading); n != 1 {
		t.Fatalf("%s reads the clock in %d places like %q, want one: adapt this test to the version of Go", source, n, reading)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "time.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), reading, reading+"\tsec += 300\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, service)
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-overlay", overlayFile, "-o", program, "./services/"+service+"/cmd/"+service)
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s with a clock that is ahead: %v\n%s", service, err, output)
	}
	return program
}
