// Package shim is the last step of starting a process. LISTEN_PID must be the PID of the process itself, which no one can put
// into its environment before it exists: so pgo starts itself, sets it, and executes the program in its own place. It also
// applies the settings that only a process can apply to itself.
package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is the argument that makes pgo the shim.
const Command = "shim"

// busyTimeout bounds the wait for a program that is being written. A copy into place by scp or a compiler ends soon.
const busyTimeout = 2 * time.Second

// NoReport is the report of a shim whose failure only its exit code and its stderr show.
const NoReport = -1

// ExitCode is the exit code of a shim that could not execute its program, as shells have it for a command that cannot run.
const ExitCode = 126

// Settings are applied before the program is executed. Those that are nil stay as pgo has them.
type Settings struct {
	Limits          map[int]uint64 `json:"limits,omitempty"` // by RLIMIT number; both the soft and the hard limit
	Nice            *int           `json:"nice,omitempty"`
	OOMScoreAdj     *int           `json:"oom_score_adj,omitempty"`
	NoNewPrivileges bool           `json:"no_new_privileges,omitempty"`
	User            *User          `json:"as,omitempty"`
	ParentDeath     syscall.Signal `json:"parent_death,omitempty"` // signal that the program gets when the process that started it ends
	Parent          int            `json:"parent,omitempty"`       // pid of that process; with ParentDeath
}

// User holds the IDs that the program runs with.
type User struct {
	UID    int   `json:"uid"`
	GID    int   `json:"gid"`
	Groups []int `json:"groups"`
}

// Failure is the reason why the program could not be executed.
type Failure struct {
	Step  string        `json:"step"` // failed step; empty for the execution itself
	Errno syscall.Errno `json:"errno"`
}

func (f *Failure) Error() string {
	if f.Step == "" {
		return f.Errno.Error()
	}
	return f.Step + ": " + f.Errno.Error()
}

// Unwrap lets errors.Is compare with an errno.
func (f *Failure) Unwrap() error { return f.Errno }

// BuildArgs returns the arguments of a shim that executes program with argv. The shim writes a Failure to the file descriptor
// report, or closes it without a byte when the program is executed.
func BuildArgs(report int, s Settings, program string, argv []string) ([]string, error) {
	setting, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return append([]string{Command, strconv.Itoa(report), string(setting), program}, argv...), nil
}

// Exec executes the program in place of this process, so it returns only an error. args are those of BuildArgs without the
// first.
func Exec(args []string) error {
	report, s, err := parseArgs(args)
	if err != nil {
		return err
	}
	program, argv := args[2], args[3:]
	if report != NoReport {
		syscall.CloseOnExec(report)
	}
	env := setPIDs(os.Environ(), os.Getpid())
	runtime.LockOSThread() // some settings hold for this thread alone, which executes the program
	failure := s.apply()
	if failure == nil {
		failure = execProgram(program, argv, env)
	}
	if report != NoReport {
		_ = json.NewEncoder(os.NewFile(uintptr(report), "report")).Encode(failure) // where no one reads, the exit code has to do
	}
	return fmt.Errorf("run %s: %w", program, failure)
}

// parseArgs reads the descriptor of the report and the settings. Program and argv follow in args.
func parseArgs(args []string) (report int, s Settings, err error) {
	if len(args) < 4 {
		return 0, s, errors.New("the shim is an internal helper of pgo: do not run it manually")
	}
	if report, err = strconv.Atoi(args[0]); err != nil {
		return 0, s, fmt.Errorf("read the shim's report: %w", err)
	}
	if err := json.Unmarshal([]byte(args[1]), &s); err != nil {
		return 0, s, fmt.Errorf("read the shim's settings: %w", err)
	}
	return report, s, nil
}

// setPIDs returns an environment in which LISTEN_PID and WATCHDOG_PID are pid, each only where the variable that it belongs to
// is set.
func setPIDs(environ []string, pid int) []string {
	var env []string
	hasListeners, hasWatchdog := false, false
	for _, variable := range environ {
		key, value, _ := strings.Cut(variable, "=")
		switch key {
		case "LISTEN_PID", "WATCHDOG_PID":
			continue
		case "LISTEN_FDS":
			hasListeners = value != ""
		case "WATCHDOG_USEC":
			hasWatchdog = value != ""
		}
		env = append(env, variable)
	}
	if hasListeners {
		env = append(env, "LISTEN_PID="+strconv.Itoa(pid))
	}
	if hasWatchdog {
		env = append(env, "WATCHDOG_PID="+strconv.Itoa(pid))
	}
	return env
}

// apply applies the settings to this process. The user comes last: only root may apply some of the rest.
func (s Settings) apply() *Failure {
	for resource, limit := range s.Limits {
		if err := newFailure("set its limits", syscall.Setrlimit(resource, &syscall.Rlimit{Cur: limit, Max: limit})); err != nil {
			return err
		}
	}
	if s.Nice != nil {
		if err := newFailure("set its nice value", unix.Setpriority(unix.PRIO_PROCESS, 0, *s.Nice)); err != nil {
			return err
		}
	}
	if s.OOMScoreAdj != nil {
		err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(*s.OOMScoreAdj)), 0)
		if err := newFailure("set its oom_score_adj", err); err != nil {
			return err
		}
	}
	if s.NoNewPrivileges {
		if err := newFailure("give up new privileges", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); err != nil {
			return err
		}
	}
	if s.User != nil {
		if err := s.User.become(); err != nil {
			return err
		}
	}
	if s.ParentDeath == 0 {
		return nil
	}
	// The change of the user clears it, so it comes last.
	if err := newFailure("set its death signal", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(s.ParentDeath), 0, 0, 0)); err != nil {
		return err
	}
	if os.Getppid() != s.Parent { // it has ended before the signal was set
		return newFailure("find the process that started it", syscall.ESRCH)
	}
	return nil
}

// become gives this process the groups and the user.
func (u *User) become() *Failure {
	if err := newFailure("take its groups", syscall.Setgroups(u.Groups)); err != nil {
		return err
	}
	if err := newFailure("become its group", syscall.Setgid(u.GID)); err != nil {
		return err
	}
	return newFailure("become its user", syscall.Setuid(u.UID))
}

// newFailure returns the Failure of a step, or nil where err is nil. An error without an errno counts as EINVAL.
func newFailure(step string, err error) *Failure {
	if err == nil {
		return nil
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = syscall.EINVAL
	}
	return &Failure{Step: step, Errno: errno}
}

// execProgram executes the program in place of this process. It waits up to busyTimeout for a program that is being written.
func execProgram(program string, argv, env []string) *Failure {
	for end := time.Now().Add(busyTimeout); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Exec(program, argv, env)
		if errors.Is(err, syscall.ETXTBSY) && time.Now().Before(end) {
			continue
		}
		return newFailure("", err)
	}
}
