package ship

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/ship/delta"
	"pgo/deploy/pgo/internal/ship/wire"
)

// program is a file to deploy.
type program struct {
	Program   wire.Program
	isCurrent bool // the host runs it
	content   []byte
	base      []byte
}

// sendSet sends the plan of the deploy and the programs that the host does not have.
func (s *session) sendSet(w *wire.Welcome) error {
	chosen, err := s.chooseProcesses(w.Processes)
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	all, err := s.loadPrograms(chosen, w.OS+"-"+w.Arch)
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	// Sent programs are cached concurrently, as the base of the next difference. A program that is not cached is sent whole.
	var caching sync.WaitGroup
	defer caching.Wait()
	cache := func(f program) { caching.Go(func() { _ = s.Options.Cache.add(f.Program.SHA256, f.content) }) }
	var plan wire.Plan
	for _, f := range all {
		if f.isCurrent {
			s.report(Event{Event: "unchanged", Process: f.Program.Process, Text: "runs " + f.Program.SHA256[:12] + " already"})
			cache(f)
		} else {
			plan.Set = append(plan.Set, f.Program)
		}
	}
	if err := s.conn.Conn.Send(plan); err != nil {
		return err
	}
	for _, f := range all {
		switch {
		case f.isCurrent:
			continue
		case !f.Program.Sent:
			s.report(Event{Event: "sent", Process: f.Program.Process, Text: "the host has " + f.Program.SHA256[:12], Size: f.Program.Size})
		default:
			if err := s.sendProgram(f); err != nil {
				return err
			}
		}
		cache(f)
	}
	return nil
}

// loadPrograms reads the programs concurrently.
func (s *session) loadPrograms(chosen []wire.Process, platform string) ([]program, error) {
	all, errs := make([]program, len(chosen)), make([]error, len(chosen))
	var reading sync.WaitGroup
	for n, p := range chosen {
		reading.Go(func() { all[n], errs[n] = s.loadProgram(p, platform) })
	}
	reading.Wait()
	return all, errors.Join(errs...)
}

// loadProgram reads a program and, concurrently, the cached release that it can be sent as the difference to.
func (s *session) loadProgram(p wire.Process, platform string) (program, error) {
	var base program
	var reading sync.WaitGroup
	reading.Go(func() { base.Program.Base, base.base = s.Options.Cache.findFirst(p.Releases) })
	path, err := s.findProgram(p.File, platform)
	var content []byte
	if err == nil {
		content, err = os.ReadFile(path)
	}
	f := program{Program: wire.Program{Process: p.Name, SHA256: hashContent(content), Size: int64(len(content))}, content: content}
	reading.Wait()
	if err != nil {
		return program{}, fmt.Errorf("%s: %w", p.Name, err)
	}
	f.isCurrent = f.Program.SHA256 == p.Current
	if f.Program.Sent = !f.isCurrent && !slices.Contains(p.Releases, f.Program.SHA256); f.Program.Sent {
		f.Program.Base, f.base = base.Program.Base, base.base
	}
	return f, nil
}

// sendProgram sends the content of a program.
func (s *session) sendProgram(f program) error {
	startedAt, sentBefore := time.Now(), s.conn.sent.total()
	data := s.conn.Conn.FileWriter()
	if err := errors.Join(delta.Encode(data, f.base, f.content), data.Close()); err != nil {
		return fmt.Errorf("send %s: %w", f.Program.Process, err)
	}
	sent := s.conn.sent.total() - sentBefore
	how := "whole"
	if f.Program.Base != "" {
		how = "as the difference to " + f.Program.Base[:12]
	}
	s.report(Event{
		Event: "sent", Process: f.Program.Process, Bytes: sent, Size: f.Program.Size, Seconds: time.Since(startedAt).Seconds(),
		Text: fmt.Sprintf("%s sent %s: %s of %s", f.Program.SHA256[:12], how, formatSize(sent), formatSize(f.Program.Size)),
	})
	return nil
}

func formatSize(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// chooseProcesses returns the processes of Options.Services, or all where it names none.
func (s *session) chooseProcesses(known []wire.Process) ([]wire.Process, error) {
	if len(known) == 0 {
		return nil, errors.New("no process there can be deployed: none is watched (watch: true in the process file)")
	}
	if len(s.Options.Services) == 0 {
		return known, nil
	}
	var chosen []wire.Process
	for _, name := range s.Options.Services {
		i := slices.IndexFunc(known, func(p wire.Process) bool { return p.Name == name })
		if i < 0 {
			var names []string
			for _, p := range known {
				names = append(names, p.Name)
			}
			return nil, fmt.Errorf("the host has no process %q that can be deployed; it has %s", name, strings.Join(names, ", "))
		}
		if !slices.ContainsFunc(chosen, func(p wire.Process) bool { return p.Name == name }) {
			chosen = append(chosen, known[i])
		}
	}
	return chosen, nil
}

// findProgram returns the path of a program for the host's platform.
func (s *session) findProgram(name, platform string) (string, error) {
	dirs := []string{s.Options.From}
	if s.Options.From == "" {
		dirs = []string{"dist", "bin"}
	}
	for _, dir := range dirs {
		for _, path := range []string{filepath.Join(dir, platform, name), filepath.Join(dir, name)} {
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("no program %s was found in %s, nor in %s there: build it, or name the services to deploy", name, strings.Join(dirs, " or "), platform)
}
