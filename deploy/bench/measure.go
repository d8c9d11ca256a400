package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// measureCommand makes this program a small one that runs another and says what it took. A child's peak of memory
// begins with that of its parent, so the parent has to be small.
const measureCommand = "measure"

type usage struct {
	Wall   time.Duration
	Memory int64 // bytes, the peak
}

func measureProgram(args []string, stdout io.Writer) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return err
	}
	wall := time.Since(began)
	rusage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return fmt.Errorf("measure %s: no usage", args[0])
	}
	return json.NewEncoder(stdout).Encode(usage{wall, rusage.Maxrss * 1024})
}

func measureCommandUsage(cmd *exec.Cmd) (usage, error) {
	var t usage
	self, err := os.Executable()
	if err != nil {
		return t, err
	}
	through := exec.Command(self, append([]string{measureCommand}, cmd.Args...)...)
	through.Env, through.Dir = cmd.Env, cmd.Dir
	out, err := through.Output()
	if err != nil {
		return t, fmt.Errorf("measure %s: %w", strings.Join(cmd.Args, " "), err)
	}
	return t, json.Unmarshal(out, &t)
}

// processorTime returns the processor time of processes so far, all their threads together.
func processorTime(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(files) == 0 {
			return 0, fmt.Errorf("take the processor's time of pid %d: there is none", pid)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // the thread has ended since
			}
			first, _, _ := strings.Cut(string(text), " ")
			n, err := strconv.ParseInt(first, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("take the processor's time: %w", err)
			}
			sum += time.Duration(n)
		}
	}
	return sum, nil
}

// measureShare is the processor's share that processes use over a time, in percent of one core.
func measureShare(pids []int, over time.Duration) (float64, error) {
	before, err := processorTime(pids)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	time.Sleep(over)
	after, err := processorTime(pids)
	return 100 * float64(after-before) / float64(time.Since(began)), err
}

// measureMemory is the memory of processes in MB.
func measureMemory(pids []int) (float64, error) {
	sum := 0.0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		_, rest, found := strings.Cut(string(text), "VmRSS:")
		fields := strings.Fields(rest)
		if !found || len(fields) == 0 {
			return 0, fmt.Errorf("pid %d has no memory", pid)
		}
		kb, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, err
		}
		sum += kb * 1024 / 1e6
	}
	return sum, nil
}

func measureSizes(paths ...string) (float64, error) {
	sum := int64(0)
	for _, path := range paths {
		err := filepath.Walk(path, func(_ string, info os.FileInfo, err error) error {
			if err == nil && info.Mode().IsRegular() {
				sum += info.Size()
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return float64(sum) / 1e6, nil
}
