package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// bench is one run over all scenarios.
type bench struct {
	options
	dir   string // everything is in it, and goes with it
	self  string
	log   io.Writer
	start float64 // ms from the start of the program until it is ready, alone
	notes []string
}

// scenario is a part of the run. Both managers go through it, one after the other.
type scenario struct {
	name string
	rows func(b *bench) []*row
	// measure returns cells by what their rows are about.
	measure func(ctx context.Context, b *bench, m manager) (map[string]cell, error)
}

// scenarios returns all scenarios in the order of the table.
func scenarios() []scenario {
	return []scenario{
		{"reload", (*bench).reloadRows, measureReload},
		{"slow-start", (*bench).slowRows, measureSlow},
		{"six", (*bench).sixRows, measureSix},
		{"logs", (*bench).logRows, measureLogs},
		{"killed", (*bench).killedRows, measureKilled},
		{"watch", (*bench).watchRows, measureWatch},
		{"size", (*bench).sizeRows, measureSize},
	}
}

func runComparison(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	// A short path: sockets live below it.
	dir, err := os.MkdirTemp("", "pgo-bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	self, err := copySelf(dir)
	if err != nil {
		return err
	}
	b := &bench{options: o, dir: dir, self: self, log: stderr}
	ours, err := newPgo(o.pgo, filepath.Join(dir, "pgo"), self)
	if err != nil {
		return err
	}
	b.logf("installing PM2 %s", pm2Version)
	theirs, err := newPM2(ctx, filepath.Join(dir, "pm2"), self)
	if err != nil {
		return err
	}
	if err := b.calibrate(ctx); err != nil {
		return err
	}
	began, loadBefore := time.Now(), loadAverage()
	var rows []*row
	for _, s := range scenarios() {
		if o.only != "" && o.only != s.name {
			continue
		}
		more := s.rows(b)
		for side, m := range []manager{ours, theirs} {
			name := []string{"pgo", "PM2"}[side]
			b.logf("%s: %s", s.name, name)
			cells, err := s.measure(ctx, b, m)
			if ctx.Err() != nil {
				return errors.New("interrupted: nothing is written")
			}
			if err != nil {
				b.logf("%s: %s: %v", s.name, name, err)
			}
			fillCells(more, side, cells, err)
			for _, r := range more {
				b.logf("  %s: %s", r.what, []cell{r.ours, r.theirs}[side].show(r.unit))
			}
		}
		rows = append(rows, more...)
	}
	text := b.heading(ctx, theirs, time.Since(began), loadBefore) + formatTable(rows)
	fmt.Fprint(stdout, text)
	if o.out != "" {
		return writePage(o.out, text)
	}
	return nil
}

// fillCells puts a side's cells into the rows. What has none says why.
func fillCells(rows []*row, side int, cells map[string]cell, err error) {
	for _, r := range rows {
		c, ok := cells[r.what]
		if !ok && err != nil {
			text, _, _ := strings.Cut(err.Error(), "\n")
			c = cell{note: text}
		} else if !ok {
			c = cell{note: "it has nothing of the kind"}
		}
		if side == 0 {
			r.ours = c
		} else {
			r.theirs = c
		}
	}
}

func (b *bench) logf(format string, args ...any) {
	fmt.Fprintf(b.log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// copySelf makes the program that is run a file of its own, which no other process overwrites.
func copySelf(dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "app")
	return path, copyFile(self, path)
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o755)
}

// calibrate takes the program's own start, and lowers the rate to what this machine carries without any manager.
func (b *bench) calibrate(ctx context.Context) error {
	var starts []float64
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	run := func() (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, b.self, app{addr: addr}.args()...)
		cmd.Env = environment()
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		err := await(10*time.Second, "the program answers", func() error { _, err := requestOnce(addr); return err })
		starts = append(starts, milliseconds(time.Since(began)))
		return cmd, err
	}
	for range 5 {
		cmd, err := run()
		if cmd != nil {
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		}
		if err != nil {
			return err
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	b.start = median(starts)
	cmd, err := run()
	if cmd != nil {
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	}
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "nginx")
	front := ""
	if g, err := startGateway(ctx, dir, addr); err == nil {
		defer g.stop()
		front = g.addr
	} else {
		b.logf("%v", err)
	}
	for asked := b.rate; ; {
		l := startLoad(addr, front, b.rate)
		time.Sleep(3 * time.Second)
		l.stop()
		failed, sent, skipped := l.failures()
		late := l.latency99()
		fine := failed == 0 && skipped == 0 && late < 200*time.Millisecond && float64(sent) > 0.95*float64(3*b.rate)
		b.logf("%d requests/s without a manager: %d sent, %d failed, 99 %% within %s", b.rate, sent, failed, late.Round(time.Millisecond))
		if !fine && b.rate/2 >= 100 {
			b.rate /= 2
			continue
		}
		if b.rate < asked {
			b.notes = append(b.notes, fmt.Sprintf("This machine's load generator does not carry %d requests/s by itself: the rate is %d.", asked, b.rate))
		}
		if !fine {
			b.notes = append(b.notes, "Even at that rate it fails or lags without a manager: the machine is too busy for figures that mean something.")
		}
		return nil
	}
}

// heading says what was measured where.
func (b *bench) heading(ctx context.Context, theirs *pm2, took time.Duration, loadBefore string) string {
	var t strings.Builder
	node, _ := exec.CommandContext(ctx, theirs.node, "--version").Output()
	ours, _ := exec.CommandContext(ctx, b.pgo, "version").Output()
	fmt.Fprintf(&t, "Measured on %s in %s: %d cores (%s), load average at the begin %s; pgo %s, Node %s.\n",
		time.Now().UTC().Format(time.DateOnly), took.Round(time.Second), runtime.NumCPU(), processorName(), loadBefore,
		strings.TrimSpace(string(ours)), strings.TrimSpace(string(node)))
	fmt.Fprintf(&t, "%d requests/s in all, in equal parts of each kind; %d reloads, %d kills of pgo's manager. The program by itself answers %s ms after it was started.\n",
		b.rate, b.reloads, b.kills, formatNumber(b.start))
	for _, note := range b.notes {
		t.WriteString(note + "\n")
	}
	t.WriteString("\n")
	return t.String()
}

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

func processorName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
