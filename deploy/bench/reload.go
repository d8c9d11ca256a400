package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

const (
	atOnce   = "ready at once"
	afterTwo = "ready after 2 s"
	slow     = 2 * time.Second
)

const (
	reloadAnswers = "`reload` → the new process answers"
	reloadReturns = "`reload` returns"
)

func (b *bench) failedIn(n int, when string, k kind) string {
	return fmt.Sprintf("failed requests in %d reloads, %s: %s", n, when, k.name)
}

func (b *bench) reloadRows() []*row {
	rows := b.failureRows(atOnce)
	return append(rows,
		&row{what: reloadAnswers, unit: "ms", target: atMost(250 + b.start)},
		&row{what: reloadReturns, unit: "ms"})
}

func (b *bench) slowRows() []*row { return b.failureRows(afterTwo) }

func (b *bench) failureRows(when string) []*row {
	var rows []*row
	for _, k := range kinds {
		rows = append(rows, &row{what: b.failedIn(b.reloads, when, k), target: atMost(0)})
	}
	return rows
}

func measureReload(ctx context.Context, b *bench, m manager) (map[string]cell, error) {
	return b.reloadUnderLoad(ctx, m, atOnce, 0)
}

func measureSlow(ctx context.Context, b *bench, m manager) (map[string]cell, error) {
	return b.reloadUnderLoad(ctx, m, afterTwo, slow)
}

func (b *bench) reloadUnderLoad(ctx context.Context, m manager, when string, startAfter time.Duration) (cells map[string]cell, err error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.down()) }()
	if err := m.up(ctx, app{name: "app", addr: addr, startAfter: startAfter}); err != nil {
		return nil, err
	}
	front, why := "", ""
	if g, err := startGateway(ctx, filepath.Join(b.dir, "nginx"), addr); err == nil {
		defer g.stop()
		front = g.addr
	} else {
		why = err.Error()
	}
	l := startLoad(addr, front, b.rate)
	defer l.stop()
	if err := await(requestTimeout, "a process answers", l.answered); err != nil {
		return nil, err
	}
	var answers, returns []float64
	for range b.reloads {
		before, _ := l.newestAnswer()
		began := time.Now()
		if err := runQuietly(m.command(ctx, "reload", "app")); err != nil {
			return nil, err
		}
		returns = append(returns, milliseconds(time.Since(began)))
		err := await(requestTimeout, "the new process answers", func() error {
			now, at := l.newestAnswer()
			if now == before {
				return errors.New("it does not")
			}
			if at.After(began) {
				answers = append(answers, milliseconds(at.Sub(began)))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(300 * time.Millisecond): // so that reloads do not run into each other
		}
	}
	l.stop()
	cells = map[string]cell{reloadAnswers: {samples: answers}, reloadReturns: {samples: returns}}
	for _, k := range kinds {
		cells[b.failedIn(b.reloads, when, k)] = cell{note: why}
	}
	for _, s := range l.streams {
		cells[b.failedIn(b.reloads, when, s.kind)] = s.cell()
	}
	return cells, nil
}

// cell is how many of a kind failed.
func (s *stream) cell() cell {
	note := fmt.Sprintf("of %d", s.sent.Load())
	if n := s.skipped.Load(); n > 0 {
		note += fmt.Sprintf(", %d more were not sent since %d waited", n, maxWaiting)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := describeMostFrequent(s.errors); why != "" {
		note += ": " + why
	}
	return cell{samples: []float64{float64(s.failed.Load())}, note: note}
}

// answered has an error until the first answer.
func (l *load) answered() error {
	if who, _ := l.newestAnswer(); strings.TrimSpace(who) == "" {
		return errors.New("no process does")
	}
	return nil
}
