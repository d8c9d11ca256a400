// Package shim is the last step of starting a process. LISTEN_PID must be the process's own number, which nobody can
// put in its environment before it exists: so pgo starts itself, which sets it and then becomes the program.
package shim

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Command is the argument that makes pgo the shim.
const Command = "shim"

// busy is how long a program that is being written is waited for; a copy into place by scp or a compiler ends soon.
const busy = 2 * time.Second

// Args are those of the shim: what it becomes is program with argv. Where that fails the number of the error (errno)
// is written to the file descriptor report, which is closed without a word when all went well.
func Args(report int, program string, argv []string) []string {
	return append([]string{Command, strconv.Itoa(report), program}, argv...)
}

// Exec becomes the program; it returns only an error. args are those of Args without the first.
func Exec(args []string) error {
	if len(args) < 3 {
		return errors.New("the shim is pgo's own helper: it is not for people")
	}
	report, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("the shim's report: %w", err)
	}
	syscall.CloseOnExec(report)
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "LISTEN_PID=") })
	if os.Getenv("LISTEN_FDS") != "" {
		env = append(env, "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	}
	err = become(args[1], args[2:], env)
	var number syscall.Errno
	if errors.As(err, &number) {
		fmt.Fprint(os.NewFile(uintptr(report), "report"), int(number))
	}
	return fmt.Errorf("run %s: %w", args[1], err)
}

func become(program string, argv, env []string) error {
	for end := time.Now().Add(busy); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Exec(program, argv, env)
		if !errors.Is(err, syscall.ETXTBSY) || time.Now().After(end) {
			return err
		}
	}
}
