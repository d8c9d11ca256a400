package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	memory     = "memory of the manager with 6 apps (pgo: keeper and manager; PM2: daemon)"
	listTakes  = "`list` takes"
	listMemory = "`list` needs, at its peak"
	idleShare  = "processor while nothing happens, 6 apps"
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

// measureSix has six apps that do nothing, and then end badly one by one.
func measureSix(ctx context.Context, b *bench, m manager) (cells map[string]cell, err error) {
	var apps []app
	for n := range 6 {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		apps = append(apps, app{name: "app" + strconv.Itoa(n), addr: addr})
	}
	defer func() { err = errors.Join(err, m.down()) }()
	if err := m.up(ctx, apps...); err != nil {
		return nil, err
	}
	pids, err := m.pids()
	if err != nil {
		return nil, err
	}
	time.Sleep(3 * time.Second) // what the start has stirred up settles
	cells = map[string]cell{}
	busy, err := share(pids, b.idle)
	if err != nil {
		return nil, err
	}
	cells[idleShare] = cell{samples: []float64{busy}, note: "over " + b.idle.String()}
	var takes, needs []float64
	for range b.lists {
		t, err := measured(m.command(ctx, "list"))
		if err != nil {
			return nil, err
		}
		takes, needs = append(takes, ms(t.Wall)), append(needs, float64(t.Memory)/1e6)
	}
	cells[listTakes], cells[listMemory] = cell{samples: takes}, cell{samples: needs}
	mb, err := resident(pids)
	if err != nil {
		return nil, err
	}
	cells[memory] = cell{samples: []float64{mb}, note: withoutMetrics(m)}
	var back []float64
	turnedAway := 0
	for _, a := range apps {
		took, n, err := crash(a.addr)
		if err != nil {
			return cells, err
		}
		back, turnedAway = append(back, took), turnedAway+n
	}
	cells[crashed], cells[refused] = cell{samples: back}, cell{samples: []float64{float64(turnedAway)}}
	return cells, nil
}

// withoutMetrics says what else a manager's figure would have to have in it.
func withoutMetrics(m manager) string {
	if _, ok := m.(*pm2); ok {
		return "without a module for metrics"
	}
	return ""
}

// crash kills what answers, and asks on new connections until another does.
func crash(addr string) (took float64, refused int, err error) {
	old, err := ask(addr)
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
		who, err := ask(addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			refused++
			time.Sleep(time.Millisecond)
		}
		if err == nil && who != old {
			return ms(time.Since(began)), refused, nil
		}
	}
	return 0, refused, fmt.Errorf("%s did not come back", addr)
}

// ask sends one request on a new connection.
func ask(addr string) (string, error) {
	t := &http.Transport{DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	res, err := (&http.Client{Transport: t, Timeout: patience}).Get("http://" + addr)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}
