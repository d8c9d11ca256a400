package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// pgo is a pgo with a home of its own.
type pgo struct {
	program string
	dir     string // a checkout: configs/, .pgo/
	self    string // this program
	env     []string
	http    string // its own address
}

func newPgo(program, dir, self string) (*pgo, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("find the pgo to measure (make build makes it): %w", err)
	}
	sockets := filepath.Join(dir, "s")
	for _, d := range []string{sockets, filepath.Join(dir, "configs")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	p := &pgo{program: program, dir: dir, self: self}
	p.env = environment("PGO_HOME="+p.home(), "XDG_RUNTIME_DIR="+sockets)
	return p, nil
}

func (p *pgo) home() string { return filepath.Join(p.dir, ".pgo") }

func (p *pgo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.program, args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	return cmd
}

// processFile lists the apps; all that is not said is pgo's default.
func (p *pgo) processFile(apps []app) string {
	var file strings.Builder
	file.WriteString("version: 1\nprocesses:\n")
	for _, a := range apps {
		var args []string
		for _, arg := range a.args() {
			args = append(args, strconv.Quote(arg))
		}
		program := a.program
		if program == "" {
			program = p.self
		}
		fmt.Fprintf(&file, "  %s:\n    command: %q\n    args: [%s]\n    listeners: {http: %q}\n    ready: {notify: true}\n",
			a.name, program, strings.Join(args, ", "), a.addr)
		if a.maxLog != "" {
			fmt.Fprintf(&file, "    logs: {max_size: %s, keep: 1000}\n", a.maxLog)
		}
		if a.watch {
			file.WriteString("    watch: true\n")
		}
	}
	return file.String()
}

func (p *pgo) up(ctx context.Context, apps ...app) error {
	addr, err := freeAddr() // another pgo may have the usual one
	if err != nil {
		return err
	}
	p.http = addr
	text := fmt.Sprintf("http: %q\n", addr) + p.processFile(apps)
	if err := os.WriteFile(filepath.Join(p.dir, "configs", "pgo.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	return runQuietly(p.command(ctx, "up"))
}

// down leaves an empty home, for the next life.
func (p *pgo) down() error {
	err := runQuietly(p.command(context.Background(), "down"))
	if n, left := killMarked("PGO_HOME=" + p.home()); err == nil {
		if err = left; err == nil && n > 0 {
			err = fmt.Errorf("pgo down has left %d processes behind", n)
		}
	}
	if removing := os.RemoveAll(p.home()); err == nil {
		err = removing
	}
	return err
}

func (p *pgo) measureItself(context.Context) (string, error) {
	return "http://" + p.http + "/metrics", nil
}

func (p *pgo) pids() ([]int, error) {
	var info struct {
		Keeper  int `json:"keeper_pid"`
		Manager int `json:"manager_pid"`
	}
	out, err := p.command(context.Background(), "info", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("find pgo's pids: %w", err)
	}
	if err := json.Unmarshal(out, &info); err != nil {
		return nil, err
	}
	if info.Keeper == 0 || info.Manager == 0 {
		return nil, fmt.Errorf("find pgo's pids: %s", out)
	}
	return []int{info.Keeper, info.Manager}, nil
}

func (p *pgo) logs(name string) ([]string, error) {
	old, err := filepath.Glob(filepath.Join(p.home(), "logs", "old", name+".*"))
	return append(old, filepath.Join(p.home(), "logs", name+".log")), err
}

func (p *pgo) knows(ctx context.Context, name string) bool {
	out, err := p.command(ctx, "list", "--json").Output()
	var rows []struct {
		Name  string `json:"name"`
		Ready bool   `json:"ready"`
	}
	if err != nil || json.Unmarshal(out, &rows) != nil {
		return false
	}
	for _, r := range rows {
		if r.Name == name {
			return r.Ready
		}
	}
	return false
}
