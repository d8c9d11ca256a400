package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

func (b *bench) killedFailed() string { return "failed requests while the manager is killed with -9" }

const (
	managedAgain = "killed with -9 → it manages again"
	killedLost   = "log lines lost in that"
)

func (b *bench) killedRows() []*row {
	return []*row{
		{what: b.killedFailed(), target: atMost(0)},
		{what: managedAgain, unit: "ms", target: atMost(1000)},
		{what: killedLost, target: atMost(0)},
	}
}

// measureKilled kills the manager under load, again and again; PM2, which loses its apps by that, once.
func measureKilled(ctx context.Context, b *bench, m manager) (cells map[string]cell, err error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	said := filepath.Join(b.dir, "said")
	defer func() { _ = os.Remove(said) }()
	defer func() { err = errors.Join(err, m.down()) }()
	if err := m.up(ctx, app{name: "app", addr: addr, lines: slowerLines, said: said}); err != nil {
		return nil, err
	}
	l := startLoad(addr, "", b.rate)
	defer l.stop()
	if err := await(requestTimeout, "a process answers", l.answered); err != nil {
		return nil, err
	}
	times := b.kills
	if _, ok := m.(*pm2); ok {
		times = 1
	}
	var again []float64
	for range times {
		pids, err := m.pids()
		if err != nil {
			return nil, err
		}
		pid := pids[len(pids)-1]
		began := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return nil, err
		}
		atMost := requestTimeout
		if times == 1 {
			atMost = 3 * time.Second
		}
		err = await(atMost, "it manages again", func() error {
			if now, err := m.pids(); err != nil || now[len(now)-1] == pid || !m.knows(ctx, "app") {
				return errors.Join(errors.New("it does not"), err)
			}
			return nil
		})
		if err == nil {
			again = append(again, milliseconds(time.Since(began)))
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		time.Sleep(700 * time.Millisecond) // some load between the kills
	}
	l.stop()
	failed, sent, _ := l.failures()
	note := fmt.Sprintf("of %d, killed %d times", sent, times)
	if why := l.describeFailures(); why != "" {
		note += ": " + why
	}
	cells = map[string]cell{b.killedFailed(): {samples: []float64{float64(failed)}, note: note}}
	cells[managedAgain] = cell{samples: again}
	if len(again) < times {
		cells[managedAgain] = cell{text: fmt.Sprintf("never in %d of %d", times-len(again), times), note: "the next one knows of no app"}
	}
	if len(again) == times {
		if cells[killedLost], err = countLostLines(ctx, m, said); err != nil {
			return cells, err
		}
	} else {
		cells[killedLost] = cell{text: "all from then on", note: "no process reads them: the app exits at its next line"}
	}
	return cells, nil
}
