package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/proc"
)

// When pgo has no descriptors left, what runs goes on, what cannot be started says why and is tried again.
func TestNoDescriptorsLeft(t *testing.T) {
	s := newStack(t, "  p: {command: ACTOR, args: [actor, ready], ready: {notify: true}}\n")
	s.must("up")
	before, keeper := s.list()["p"], s.info().Keeper
	limit := func(n uint64) {
		t.Helper()
		var was unix.Rlimit
		if err := unix.Prlimit(keeper, unix.RLIMIT_NOFILE, nil, &was); err != nil {
			t.Fatal(err)
		}
		if err := unix.Prlimit(keeper, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: was.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	limit(8)
	more := "  p: {command: ACTOR, args: [actor, ready], ready: {notify: true}}\n  q: {command: ACTOR, args: [actor, ready], ready: {notify: true}}\n"
	s.write(more)
	s.fails(exitFailed, []string{"q is not ready: backing-off: the keeper could not take a descriptor: too many files are open"}, "up")
	if p := s.list()["p"]; p.PID != before.PID || !p.Ready {
		t.Errorf("p: %+v", p)
	}
	limit(200)
	s.becomes("q", control.Ready)
	s.must("up")
}

func TestManyProcesses(t *testing.T) {
	const many = 100
	var file strings.Builder
	for n := range many {
		fmt.Fprintf(&file, "  p%d: {command: sleep, args: [\"1000\"]}\n", n)
	}
	s := newStack(t, file.String())
	s.must("up")
	before := s.list()
	proc.Kill(s.info().Manager, syscall.SIGKILL)
	for name, p := range s.list() {
		if p.PID != before[name].PID || !p.Ready {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if len(before) != many {
		t.Errorf("%d processes", len(before))
	}
}
