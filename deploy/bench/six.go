package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	memory     = "memory with 6 apps, each watched, metrics read every 5 s (pgo: keeper and manager; PM2: daemon and pm2-prom-module)"
	listTakes  = "`list` takes"
	listMemory = "`list` needs, at its peak"
	idleShare  = "processor while nothing happens but that"
	crashed    = "crash → serving"
	refused    = "connections refused in the crashes"
)

func (b *bench) sixRows() []*row {
	return []*row{
		{what: memory, unit: "MB", target: atMost(15)},
		{what: listTakes, unit: "ms", target: atMost(15)},
		{what: listMemory, unit: "MB", target: atMost(12)},
		{what: idleShare, unit: "%", target: atMost(0.1)},
		{what: crashed, unit: "ms", target: atMost(15)},
		{what: refused, target: atMost(0)},
	}
}

// scrapeEvery is how often Prometheus asks in deploy/.
const scrapeEvery = 5 * time.Second

// measureSix has six apps that do nothing, each from a file of its own that is watched, and then end badly one by one.
func measureSix(ctx context.Context, b *bench, m manager) (cells map[string]cell, err error) {
	var apps []app
	for n := range 6 {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		name := "app" + strconv.Itoa(n)
		program := filepath.Join(b.dir, name)
		if err := copyFile(b.self, program); err != nil {
			return nil, err
		}
		apps = append(apps, app{name: name, addr: addr, program: program, watch: true})
	}
	defer func() { err = errors.Join(err, m.down()) }()
	if err := m.up(ctx, apps...); err != nil {
		return nil, err
	}
	scrapes, without := b.scrape(ctx, m)
	defer scrapes.stop()
	pids, err := m.pids()
	if err != nil {
		return nil, err
	}
	time.Sleep(settleTime)
	cells = map[string]cell{}
	busy, sizes, err := measureIdle(pids, b.idle)
	if err != nil {
		return nil, err
	}
	cells[idleShare] = cell{samples: []float64{busy}, note: "over " + b.idle.String() + without}
	var takes, needs []float64
	for range b.lists {
		t, err := measureCommandUsage(m.command(ctx, "list"))
		if err != nil {
			return nil, err
		}
		takes, needs = append(takes, milliseconds(t.Wall)), append(needs, float64(t.Memory)/1e6)
	}
	cells[listTakes], cells[listMemory] = cell{samples: takes}, cell{samples: needs}
	mb, err := measureMemory(pids)
	if err != nil {
		return nil, err
	}
	cells[memory] = cell{samples: append(sizes, mb), note: "every second of that, and after the lists" + without}
	if err := scrapes.failed(); err != nil {
		return nil, err
	}
	var back []float64
	turnedAway := 0
	for _, a := range apps {
		took, n, err := measureCrash(a.addr)
		if err != nil {
			return cells, err
		}
		back, turnedAway = append(back, took), turnedAway+n
	}
	cells[crashed], cells[refused] = cell{samples: back}, cell{samples: []float64{float64(turnedAway)}}
	return cells, nil
}

// settleTime is how long what a start has stirred up is left to settle: pgo has a program on probation for its first 30 s, in
// which it is not idle.
const settleTime = 35 * time.Second

// measureIdle takes the processor's share of processes over a time, and every second their memory.
func measureIdle(pids []int, over time.Duration) (busy float64, sizes []float64, err error) {
	before, err := processorTime(pids)
	if err != nil {
		return 0, nil, err
	}
	began := time.Now()
	for time.Since(began) < over {
		time.Sleep(time.Second)
		mb, err := measureMemory(pids)
		if err != nil {
			return 0, nil, err
		}
		sizes = append(sizes, mb)
	}
	after, err := processorTime(pids)
	return 100 * float64(after-before) / float64(time.Since(began)), sizes, err
}

// measureCrash kills what answers, and asks on new connections until another does.
func measureCrash(addr string) (took float64, refused int, err error) {
	old, err := requestOnce(addr)
	if err != nil {
		return 0, 0, err
	}
	pid, err := strconv.Atoi(strings.Fields(old)[0])
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return 0, 0, err
	}
	for time.Since(began) < 30*time.Second {
		who, err := requestOnce(addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			refused++
			time.Sleep(time.Millisecond)
		}
		if err == nil && who != old {
			return milliseconds(time.Since(began)), refused, nil
		}
	}
	return 0, refused, fmt.Errorf("%s did not come back", addr)
}

// requestOnce sends one request on a new connection.
func requestOnce(addr string) (string, error) {
	t := &http.Transport{DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	res, err := (&http.Client{Transport: t, Timeout: requestTimeout}).Get("http://" + addr)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}
