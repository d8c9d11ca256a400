// Package shim is the last step of starting a process. LISTEN_PID must be the process's own number, which nobody can
// put in its environment before it exists: so pgo starts itself, which sets it and then becomes the program. It also
// sets what only a process can set for itself.
package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is the argument that makes pgo the shim.
const Command = "shim"

// busyTimeout is how long a program that is being written is waited for; a copy into place by scp or a compiler ends soon.
const busyTimeout = 2 * time.Second

// Settings is what is set before the program begins; what is nil stays as pgo has it.
type Settings struct {
	Limits          map[int]uint64 `json:"limits,omitempty"` // by RLIMIT number, soft and hard
	Nice            *int           `json:"nice,omitempty"`
	OOMScoreAdj     *int           `json:"oom_score_adj,omitempty"`
	NoNewPrivileges bool           `json:"no_new_privileges,omitempty"`
	User            *User          `json:"as,omitempty"`
}

// User is who the program runs as.
type User struct {
	UID    int   `json:"uid"`
	GID    int   `json:"gid"`
	Groups []int `json:"groups"`
}

// Failure is why the program could not be become.
type Failure struct {
	Step  string        `json:"step"` // what was being done; empty for the execution itself
	Errno syscall.Errno `json:"errno"`
}

func (f *Failure) Error() string {
	if f.Step == "" {
		return f.Errno.Error()
	}
	return f.Step + ": " + f.Errno.Error()
}

// Unwrap is for errors.Is with an errno.
func (f *Failure) Unwrap() error { return f.Errno }

// BuildArgs are those of the shim: what it becomes is program with argv. Where that fails a Failure is written to the file
// descriptor report, which is closed without a word when all went well.
func BuildArgs(report int, s Settings, program string, argv []string) ([]string, error) {
	setting, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return append([]string{Command, strconv.Itoa(report), string(setting), program}, argv...), nil
}

// Exec becomes the program; it returns only an error. args are those of Args without the first.
func Exec(args []string) error {
	if len(args) < 4 {
		return errors.New("the shim is pgo's own helper: it is not for people")
	}
	report, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("the shim's report: %w", err)
	}
	var s Settings
	if err := json.Unmarshal([]byte(args[1]), &s); err != nil {
		return fmt.Errorf("the shim's setting: %w", err)
	}
	syscall.CloseOnExec(report)
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "LISTEN_PID=") || strings.HasPrefix(kv, "WATCHDOG_PID=")
	})
	if os.Getenv("LISTEN_FDS") != "" {
		env = append(env, "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	}
	if os.Getenv("WATCHDOG_USEC") != "" {
		env = append(env, "WATCHDOG_PID="+strconv.Itoa(os.Getpid()))
	}
	runtime.LockOSThread() // some of it holds for this thread alone, which becomes the program
	failed := s.apply()
	if failed == nil {
		failed = execProgram(args[2], args[3:], env)
	}
	_ = json.NewEncoder(os.NewFile(uintptr(report), "report")).Encode(failed) // nobody reads: how it ends has to do
	return fmt.Errorf("run %s: %w", args[2], failed)
}

// apply sets everything. The user comes last: only root may do some of the rest.
func (s Settings) apply() *Failure {
	fail := func(step string, err error) *Failure {
		var number syscall.Errno
		if err == nil {
			return nil
		}
		if !errors.As(err, &number) {
			number = syscall.EINVAL
		}
		return &Failure{Step: step, Errno: number}
	}
	for resource, limit := range s.Limits {
		if err := fail("set its limits", syscall.Setrlimit(resource, &syscall.Rlimit{Cur: limit, Max: limit})); err != nil {
			return err
		}
	}
	if s.Nice != nil {
		if err := fail("set its nice value", unix.Setpriority(unix.PRIO_PROCESS, 0, *s.Nice)); err != nil {
			return err
		}
	}
	if s.OOMScoreAdj != nil {
		err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(*s.OOMScoreAdj)), 0)
		if err := fail("set its oom_score_adj", err); err != nil {
			return err
		}
	}
	if s.NoNewPrivileges {
		if err := fail("give up new privileges", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); err != nil {
			return err
		}
	}
	if s.User == nil {
		return nil
	}
	if err := fail("take its groups", syscall.Setgroups(s.User.Groups)); err != nil {
		return err
	}
	if err := fail("become its group", syscall.Setgid(s.User.GID)); err != nil {
		return err
	}
	return fail("become its user", syscall.Setuid(s.User.UID))
}

func execProgram(program string, argv, env []string) *Failure {
	for end := time.Now().Add(busyTimeout); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Exec(program, argv, env)
		if errors.Is(err, syscall.ETXTBSY) && time.Now().Before(end) {
			continue
		}
		var number syscall.Errno
		if !errors.As(err, &number) {
			number = syscall.EINVAL
		}
		return &Failure{Errno: number}
	}
}
