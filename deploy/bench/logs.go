package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	logShare    = "processor at 5000 log lines/s"
	linesLost   = "log lines lost"
	logLines    = 5000
	slowerLines = 500 // while the manager is killed
)

func (b *bench) logRows() []*row {
	return []*row{
		{what: logShare, unit: "%", target: atMost(3)},
		{what: linesLost, target: atMost(0)},
	}
}

func measureLogs(ctx context.Context, b *bench, m manager) (cells map[string]cell, err error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	said := filepath.Join(b.dir, "said")
	defer func() { _ = os.Remove(said) }()
	defer func() { err = errors.Join(err, m.down()) }()
	if err := m.up(ctx, app{name: "app", addr: addr, lines: logLines, said: said, maxLog: "1MB"}); err != nil {
		return nil, err
	}
	pids, err := m.pids()
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Second)
	busy, err := measureShare(pids, b.logging)
	if err != nil {
		return nil, err
	}
	note := "with rotation at 1 MB and compression"
	if _, ok := m.(*pm2); ok {
		note = "without rotation: that takes a module"
	}
	cells = map[string]cell{logShare: {samples: []float64{busy}, note: note}}
	cells[linesLost], err = countLostLines(ctx, m, said)
	return cells, err
}

// countLostLines stops the app and counts what it has said and what is in its logs.
func countLostLines(ctx context.Context, m manager, said string) (cell, error) {
	if err := runQuietly(m.command(ctx, "stop", "app")); err != nil {
		return cell{}, err
	}
	text, err := os.ReadFile(said)
	if err != nil {
		return cell{}, err
	}
	want := 0
	for _, field := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return cell{}, err
		}
		want += n
	}
	got := 0
	// What is still on its way has a moment.
	_ = await(3*time.Second, "all lines are there", func() error {
		if got, err = countLines(m); err != nil || got < want {
			return fmt.Errorf("%d of %d: %w", got, want, err)
		}
		return nil
	})
	return cell{samples: []float64{float64(want - got)}, note: fmt.Sprintf("of %d", want)}, err
}

func countLines(m manager) (int, error) {
	files, err := m.logs("app")
	n := 0
	for _, file := range files {
		more, counting := countLinesIn(file)
		n, err = n+more, errors.Join(err, counting)
	}
	return n, err
}

func countLinesIn(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	in := io.Reader(f)
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return 0, err
		}
	}
	content, err := io.ReadAll(in)
	return bytes.Count(content, []byte(`"msg":"line `)), err
}
