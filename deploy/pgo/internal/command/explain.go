package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// CheckDir returns an error if a process cannot run in a directory. Its error is not retryable.
func CheckDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("cwd %s: no such directory", dir)
	case err != nil:
		return fmt.Errorf("cwd: %w", err)
	case !info.IsDir():
		return fmt.Errorf("cwd %s: not a directory", dir)
	}
	return nil
}

// maxShebang is how much of a script's first line the kernel reads.
const maxShebang = 256

// ReadInterpreter returns the program that a script names in its first line, and false for a file that is no script.
func ReadInterpreter(path string) (string, bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	head := make([]byte, maxShebang)
	n, _ := io.ReadFull(f, head) // a shorter file is as good
	line, _, _ := bytes.Cut(head[:n], []byte("\n"))
	rest, isScript := bytes.CutPrefix(line, []byte("#!"))
	if !isScript {
		return "", false
	}
	name, _, _ := strings.Cut(strings.TrimLeft(string(rest), " \t"), " ")
	return name, true
}

// ExplainExec returns why a program that is there could not be executed, and err itself where there is nothing to add: for a script
// the kernel reports that of its interpreter.
func ExplainExec(path string, err error) error {
	interpreter, isScript := ReadInterpreter(path)
	switch {
	case !isScript:
		return err
	case strings.HasSuffix(interpreter, "\r"):
		return fmt.Errorf("%w: the first line of %s ends with CR LF, as on Windows, so its interpreter is %q: save it with LF", err, path, interpreter)
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: the interpreter %q in the first line of %s cannot be executed", err, interpreter, path)
	}
	return err
}
