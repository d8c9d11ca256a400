// Package pm2 runs the suite under PM2 from npm, by the ecosystem file beside it. It needs the binaries of `make build`,
// Node and npm.
package pm2

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const pm2Version = "7.0.4"

// apps returns the apps of the ecosystem file, with the env file's key of each one's address.
var apps = map[string]string{"bootcheck": "BOOTCHECK_HTTP", "user": "USER_HTTP", "school": "SCHOOL_HTTP", "task": "TASK_HTTP"}

// suite is a state directory with running servers in it, and a PM2.
type suite struct {
	*testing.T
	root, home, bin string
	script          string // PM2's
	env             []string
	addrs           map[string]string
}

// newSuite brings the stack up as `make up` does, and takes away what PM2 is to run.
func newSuite(t *testing.T) *suite {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &suite{T: t, root: root, home: filepath.Join(dir, "home"), bin: filepath.Join(dir, "bin")}
	s.env = append(os.Environ(), "PGO_HOME="+s.home, "PGO_BIN="+s.bin, "PM2_HOME="+filepath.Join(dir, "pm2"), "PORT_OFFSET="+freeOffset(t),
		"MODE=native", "PM2_DISCRETE_MODE=true", "NO_COLOR=1")
	t.Cleanup(func() {
		if _, err := s.run(filepath.Join(root, "bin", "stack"), "down"); err != nil {
			t.Error(err)
		}
		if left := s.processes(); len(left) > 0 {
			t.Errorf("processes left behind: %v", left)
		}
	})
	s.must(filepath.Join(root, "bin", "stack"), "up")
	// Not only stopped: pgo keeps the listeners of what it may have to start again.
	s.must(filepath.Join(root, "bin", "pgo"), "delete", "gateway", "task", "school", "user", "bootcheck")
	if err := os.MkdirAll(s.bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for name := range apps {
		s.put(name)
	}
	s.addrs = s.readEnv()
	modules := filepath.Join(dir, "npm")
	s.must("npm", "install", "--no-audit", "--no-fund", "--prefix", modules, "pm2@"+pm2Version)
	s.script = filepath.Join(modules, "node_modules", "pm2", "bin", "pm2")
	t.Cleanup(func() {
		if _, err := s.pm2("kill"); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			s.showLogs()
		}
	})
	return s
}

// put deploys a program as is safe under PM2: beside its place, then moved there.
func (s *suite) put(name string) {
	s.Helper()
	content, err := os.ReadFile(filepath.Join(s.root, "bin", name))
	if err != nil {
		s.Fatalf("make build makes the programs: %v", err)
	}
	path := filepath.Join(s.bin, name)
	if err := os.WriteFile(path+".new", content, 0o755); err != nil {
		s.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) readEnv() map[string]string {
	s.Helper()
	f, err := os.Open(filepath.Join(s.home, "env"))
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	values := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		values[key] = value
	}
	return values
}

func (s *suite) run(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = s.root, s.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}

func (s *suite) must(program string, args ...string) string {
	s.Helper()
	out, err := s.run(program, args...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

func (s *suite) pm2(args ...string) (string, error) {
	return s.run("node", append([]string{s.script}, args...)...)
}

func (s *suite) mustPM2(args ...string) {
	s.Helper()
	if out, err := s.pm2(args...); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
}

// row is a row of `pm2 jlist`.
type row struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	Env  struct {
		Status   string `json:"status"`
		Unstable int    `json:"unstable_restarts"`
		Started  int64  `json:"pm_uptime"` // in milliseconds
	} `json:"pm2_env"`
}

func (s *suite) list() map[string]row {
	s.Helper()
	out, err := s.pm2("jlist")
	if err != nil {
		s.Fatal(err)
	}
	var rows []row
	if err := json.Unmarshal([]byte(out[max(0, strings.Index(out, "[")):]), &rows); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	byName := map[string]row{}
	for _, r := range rows {
		byName[r.Name] = r
	}
	return byName
}

// ready waits until all answer as ready.
func (s *suite) ready() {
	s.Helper()
	for name, key := range apps {
		eventually(s.T, name+" is ready", func() error {
			client := http.Client{Timeout: 5 * time.Second}
			res, err := client.Get("http://" + s.addrs[key] + "/readyz")
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return errors.New(res.Status)
			}
			return nil
		})
	}
}

// woken waits until bootcheck has woken the services so often.
func (s *suite) woken(times int) {
	s.Helper()
	eventually(s.T, "the services are woken", func() error {
		log, err := os.ReadFile(filepath.Join(s.home, "logs", "pm2-bootcheck.log"))
		if err != nil {
			return err
		}
		if n := strings.Count(string(log), "the services were started"); n != times {
			return fmt.Errorf("%d times\n%s", n, log[max(0, len(log)-2000):])
		}
		return nil
	})
}

// passed is when bootcheck had brought everything to where the services want it.
func (s *suite) passed() time.Time {
	s.Helper()
	res, err := http.Get("http://" + s.addrs["BOOTCHECK_HTTP"] + "/status")
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	var status struct {
		PassedAt time.Time `json:"passed_at"`
	}
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil || status.PassedAt.IsZero() {
		s.Fatalf("%+v, %v", status, err)
	}
	return status.PassedAt
}

// processes returns the processes of this state directory.
func (s *suite) processes() []string {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.Fatal(err)
	}
	var found []string
	for _, file := range files {
		env, err := os.ReadFile(file)
		if pid := strings.Split(file, "/")[2]; err == nil && bytes.Contains(env, []byte("PGO_HOME="+s.home+"\x00")) && pid != strconv.Itoa(os.Getpid()) {
			cmdline, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			found = append(found, pid+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return found
}

func (s *suite) showLogs() {
	for name := range apps {
		content, _ := os.ReadFile(filepath.Join(s.home, "logs", "pm2-"+name+".log"))
		s.Logf("%s:\n%s", name, content[max(0, len(content)-3000):])
	}
}

func eventually(t *testing.T, what string, cond func() error) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// freeOffset finds an offset at which every published port is free, and below 32768: from there on the kernel gives ports to
// whoever connects, and servers are started long after the look.
func freeOffset(t *testing.T) string {
	t.Helper()
	for range 100 {
		offset := 10_000 + rand.IntN(6_000)
		free := true
		for _, port := range []int{8080, 8443, 8081, 8082, 8083, 8090, 9900, 9090, 9093, 3000, 3100, 16686, 15672, 3306, 6379, 5672} {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+offset)))
			if free = free && err == nil; err == nil {
				l.Close()
			}
		}
		if free {
			return strconv.Itoa(offset)
		}
	}
	t.Fatal("no free ports found")
	return ""
}

func TestSuiteUnderPM2(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the suite under PM2")
	}
	s := newSuite(t)
	file := filepath.Join(s.root, "deploy", "pm2", "ecosystem.config.js")
	s.mustPM2("start", file)
	s.ready()
	s.woken(1)
	first := s.list()
	passed := s.passed()
	for name := range apps {
		r := first[name]
		if r.Env.Status != "online" || r.PID == 0 || r.Env.Unstable > 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if name != "bootcheck" && time.UnixMilli(r.Env.Started).Before(passed) {
			t.Errorf("%s was started at %s, the schemas were there at %s", name, time.UnixMilli(r.Env.Started), passed)
		}
	}
	if len(first) != len(apps) {
		t.Errorf("%d apps: %+v", len(first), first)
	}

	// A bootcheck that is started again wakes who sleeps, and leaves alone who does not.
	s.mustPM2("stop", "task")
	s.mustPM2("restart", "bootcheck")
	s.woken(2)
	s.ready()
	again := s.list()
	for name := range apps {
		if same := again[name].PID == first[name].PID; same != (name == "user" || name == "school") || again[name].Env.Status != "online" {
			t.Errorf("%s was %+v, is %+v", name, first[name], again[name])
		}
	}
	first = again

	began := time.Now()
	for _, name := range []string{"user", "school", "task"} { // of several names PM2 takes the first
		s.mustPM2("reload", name)
	}
	if took := time.Since(began); took > 50*time.Second {
		t.Errorf("the reloads took %s: nobody has said that it is ready", took)
	}
	s.ready()
	second := s.list()
	for name := range apps {
		if (second[name].PID == first[name].PID) != (name == "bootcheck") || second[name].Env.Status != "online" {
			t.Errorf("%s was %+v, is %+v", name, first[name], second[name])
		}
	}

	s.put("task")
	eventually(t, "the watch has noticed", func() error {
		if r := s.list()["task"]; r.PID == second["task"].PID || r.PID == 0 || r.Env.Status != "online" {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	s.ready()

	s.mustPM2("stop", "all")
	for name, r := range s.list() {
		if r.Env.Status != "stopped" {
			t.Errorf("%s: %+v", name, r)
		}
		if conn, err := net.Dial("tcp", s.addrs[apps[name]]); err == nil {
			conn.Close()
			t.Errorf("%s still listens", name)
		}
	}
}
