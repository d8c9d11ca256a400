// Package e2e tests pgo as its users run it: the real binary, real processes and a real sshd.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// pgoPath is the path of pgo, which TestMain builds once. Test programs that a test starts find it in pgoPathEnv.
var pgoPath string

const pgoPathEnv = "PGO_TEST_PROGRAM"

// version is the version of a pgo that is built without the Makefile's linker flags.
const version = "dev"

// The test program is also the programs that pgo runs, so that the tests have real processes.
func TestMain(m *testing.M) {
	pgoPath = os.Getenv(pgoPathEnv)
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "actor":
			runActor(os.Args[2:])
			return
		case "version", "check":
			if file := os.Getenv(identifyEnv); file != "" {
				appendIdentity(file, os.Args[1])
			}
			fmt.Printf(`{"version":%q}`+"\n", version)
			return
		case "init":
			runAsInit(os.Args[2:])
		}
	}
	os.Exit(runTests(m))
}

// runTests builds pgo where it is not built yet, and runs the tests.
func runTests(m *testing.M) int {
	if pgoPath == "" {
		dir, err := os.MkdirTemp("", "pgo-e2e")
		if err == nil {
			defer os.RemoveAll(dir)
			err = os.Chmod(dir, 0o755) // for tests of other users' processes
		}
		pgoPath = filepath.Join(dir, "pgo")
		if err == nil {
			err = buildProgram(pgoPath)
		}
		if err == nil {
			err = os.Setenv(pgoPathEnv, pgoPath)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "build pgo:", err)
			return 1
		}
	}
	return m.Run()
}

// buildProgram builds pgo, with the race detector where the tests have it. All else is as for the tests, so that both
// use the same compiled packages. The packages that compare and compress programs are left out of the race detector: they
// start no goroutines that share anything, have tests of their own under it, and would take most of the tests' time.
func buildProgram(path string) error {
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race",
			"-gcflags=pgo/deploy/pgo/internal/ship/delta=-race=false", "-gcflags=github.com/klauspost/compress/...=-race=false")
	}
	if out, err := exec.Command("go", append(args, "pgo/deploy/pgo")...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// runAsInit makes pgo the first process of a container, with a /proc of its own.
func runAsInit(args []string) {
	exitOnError(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	exitOnError(syscall.Mount("proc", "/proc", "proc", 0, ""))
	exitOnError(syscall.Exec(pgoPath, append([]string{pgoPath}, args...), os.Environ()))
}
