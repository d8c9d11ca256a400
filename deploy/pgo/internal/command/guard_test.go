package command

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A program of the process file gets its user and its limits from Run, so other packages start only programs that are not of the
// process file: a new place has to be one of those, or has to use a Runner.
func TestOnlyRunStartsPrograms(t *testing.T) {
	allowed := []string{
		"command/run.go",
		"shim/shim.go", "keeper/children.go", "keeper/manager.go", "cmd/keeper.go", // pgo itself, and the start of a process by its shim
		"systemd/systemctl.go",                    // systemctl, journalctl
		"ecosystem/read.go",                       // Node, which evaluates a file of PM2
		"ship/dial.go",                            // ssh
		"cmd/hostsetup.go", "hostsetup/remote.go", // the tools that prepare a host
	}
	root := ".."
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		isTest := strings.HasSuffix(path, "_test.go") || strings.HasPrefix(name, "sshdtest/") || strings.HasPrefix(name, "systemdtest/")
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || isTest || slices.Contains(allowed, name) {
			return err
		}
		text, err := os.ReadFile(path)
		for _, call := range []string{"exec.Command", "exec.Cmd{", "os.StartProcess", "ForkExec(", "syscall.Exec(", "unix.Exec("} {
			if strings.Contains(string(text), call) {
				t.Errorf("%s calls %s: start a program of the process file by a command.Runner", name, call)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
