package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// pm2Version is the PM2 that pgo is compared with.
const pm2Version = "7.0.4"

// pm2 is a PM2 with a home of its own.
type pm2 struct {
	node, script string
	modules      string
	dir, home    string
	self         string
	env          []string
}

// newPM2 installs PM2 from npm into the directory.
func newPM2(ctx context.Context, dir, self string) (*pm2, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("PM2 needs Node: %w", err)
	}
	p := &pm2{node: node, dir: dir, self: self, home: filepath.Join(dir, "home"), modules: filepath.Join(dir, "node_modules")}
	if err := os.MkdirAll(p.home, 0o700); err != nil {
		return nil, err
	}
	install := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "pm2@"+pm2Version)
	if err := runQuietly(install); err != nil {
		return nil, fmt.Errorf("install PM2: %w", err)
	}
	p.script = filepath.Join(p.modules, "pm2", "bin", "pm2")
	p.env = environment("PM2_HOME="+p.home, "PM2_DISCRETE_MODE=true", "NO_COLOR=1")
	return p, nil
}

func (p *pm2) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.node, append([]string{p.script}, args...)...)
	cmd.Dir, cmd.Env = p.dir, p.env
	return cmd
}

// ecosystem lists the apps as PM2's users are told to for programs that are not Node's.
func (p *pm2) ecosystem(apps []app) ([]byte, error) {
	var list []map[string]any
	for _, a := range apps {
		program := a.program
		if program == "" {
			program = p.self
		}
		entry := map[string]any{
			"name": a.name, "script": program, "args": a.args(), "interpreter": "none", "exec_mode": "fork",
			"wait_ready": true, "listen_timeout": 30_000, "kill_timeout": 8000, "treekill": false, "merge_logs": true,
			"out_file": p.log(a.name), "error_file": p.log(a.name),
		}
		if a.watch {
			entry["watch"] = []string{program}
			entry["watch_options"] = map[string]any{"usePolling": true, "interval": 1000, "binaryInterval": 1000}
			entry["watch_delay"] = 1000
		}
		list = append(list, entry)
	}
	return json.Marshal(map[string]any{"apps": list})
}

func (p *pm2) log(name string) string { return filepath.Join(p.home, "logs", name+".log") }

func (p *pm2) up(ctx context.Context, apps ...app) error {
	content, err := p.ecosystem(apps)
	if err != nil {
		return err
	}
	file := filepath.Join(p.dir, "ecosystem.config.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	if err := runQuietly(p.command(ctx, "start", file)); err != nil {
		return err
	}
	for _, a := range apps {
		if !p.knows(ctx, a.name) {
			return fmt.Errorf("PM2 did not get %s to run", a.name)
		}
	}
	return nil
}

func (p *pm2) down() error {
	err := runQuietly(p.command(context.Background(), "kill"))
	if _, left := killMarked("PM2_HOME=" + p.home); err == nil {
		err = left
	}
	if removing := os.RemoveAll(p.home); err == nil {
		err = removing
	}
	if making := os.MkdirAll(p.home, 0o700); err == nil {
		err = making
	}
	return err
}

// promModule is the usual module for PM2's metrics: a process of its own.
const promModule, promVersion = "pm2-prom-module", "2.7.2"

// measureItself installs the module. An npm that does not have it is no reason to measure nothing of PM2.
func (p *pm2) measureItself(ctx context.Context) (string, error) {
	addr, err := freeAddr()
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	for _, args := range [][]string{{"set", promModule + ":hostname", host}, {"set", promModule + ":port", port}} {
		if err := runQuietly(p.command(ctx, args...)); err != nil {
			return "", err
		}
	}
	if err := runQuietly(p.command(ctx, "install", promModule+"@"+promVersion)); err != nil {
		return "", fmt.Errorf("npm did not install %s %s: %w", promModule, promVersion, err)
	}
	if rows := p.rows(ctx); !slices.ContainsFunc(rows, func(r pm2Row) bool { return r.Name == promModule }) {
		return "", fmt.Errorf("PM2 does not run %s %s", promModule, promVersion)
	}
	return "http://" + addr + "/metrics", nil
}

func (p *pm2) pids() ([]int, error) {
	text, err := os.ReadFile(filepath.Join(p.home, "pm2.pid"))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, err
	}
	pids := []int{pid}
	for _, r := range p.rows(context.Background()) {
		if r.Name == promModule {
			pids = []int{r.PID, pid}
		}
	}
	return pids, nil
}

func (p *pm2) logs(name string) ([]string, error) { return []string{p.log(name)}, nil }

func (p *pm2) knows(ctx context.Context, name string) bool {
	return slices.ContainsFunc(p.rows(ctx), func(r pm2Row) bool { return r.Name == name && r.Env.Status == "online" })
}

// pm2Row is one process as PM2 lists it.
type pm2Row struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	Env  struct {
		Status string `json:"status"`
	} `json:"pm2_env"`
}

// rows returns the apps that PM2 lists, and nothing where its output is not a list.
func (p *pm2) rows(ctx context.Context) []pm2Row {
	out, err := p.command(ctx, "jlist").Output()
	i := slices.Index(out, '[')
	if err != nil || i < 0 {
		return nil
	}
	var rows []pm2Row
	if json.Unmarshal(out[i:], &rows) != nil {
		return nil
	}
	return rows
}
