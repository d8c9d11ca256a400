package localserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A janitor removes a scratch directory after its owner was killed: it waits for the end of a pipe that the owner holds.
// The servers themselves are ended by the kernel.
type janitor struct {
	cmd  *exec.Cmd
	pipe *os.File
}

const janitorScript = `trap '' HUP INT TERM; cat >/dev/null; rm -rf -- "$1"; sleep 1; rm -rf -- "$1"`

func startJanitor(dir string) (*janitor, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", "-c", janitorScript, "pgo-janitor", dir)
	cmd.Stdin = read
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		write.Close()
		return nil, err
	}
	return &janitor{cmd: cmd, pipe: write}, nil
}

// stop ends the janitor, when there is nothing left to remove.
func (j *janitor) stop() {
	children := findDescendants(j.cmd.Process.Pid)
	_ = syscall.Kill(-j.cmd.Process.Pid, syscall.SIGKILL)
	_ = j.cmd.Wait()
	waitGone(children)
	j.pipe.Close()
}

func holdLock(f *os.File) error { return lockRetrying(f, syscall.LOCK_EX|syscall.LOCK_NB) }

// removeAbandoned removes the directories of owners whose janitor was killed as well. A directory is in use while its lock
// is held.
func removeAbandoned(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, scratchPrefix()+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < time.Minute {
			continue // younger ones may not have their lock yet
		}
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if holdLock(f) == nil {
			_ = os.RemoveAll(dir) // the next one tries again
		}
		f.Close()
	}
}
