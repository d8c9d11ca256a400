package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	uploadFailed   = "failed requests: slow upload over the running file, without truncation"
	uploadAnswers  = "file complete → the new version answers, by watch"
	rollbackFailed = "failed requests: roll-back to the version before"
	rollbackTakes  = "roll-back → the version before answers"
	observeTime    = 8 * time.Second // at what a bad file does
)

// damages are files that should not be taken.
var damages = []struct {
	name string
	make func(one, two, exits, hangs []byte) []byte
}{
	{"a truncated binary", func(_, two, _, _ []byte) []byte { return two[:len(two)*6/10] }},
	{"a mix of two builds", func(one, two, _, _ []byte) []byte {
		half := min(len(one), len(two)) / 2
		return append(append([]byte{}, two[:half]...), one[half:]...)
	}},
	{"one that exits at once", func(_, _, exits, _ []byte) []byte { return exits }},
	{"one that never gets ready", func(_, _, _, hangs []byte) []byte { return hangs }},
}

func damageTitle(name string) string { return "failed requests: " + name + " is put in place" }

func (b *bench) watchRows() []*row {
	rows := []*row{{what: uploadFailed, target: atMost(0)}, {what: uploadAnswers, unit: "ms", target: atMost(1000)}}
	for _, d := range damages {
		rows = append(rows, &row{what: damageTitle(d.name), target: atMost(0)})
	}
	return append(rows, &row{what: rollbackFailed, target: atMost(0)}, &row{what: rollbackTakes, unit: "ms", target: atMost(500 + b.start)})
}

// measureWatch writes versions of a program over the one that runs, while it is under load.
func measureWatch(ctx context.Context, b *bench, m manager) (cells map[string]cell, err error) {
	_, isPgo := m.(*pgo)
	builds, err := b.builds(ctx)
	if err != nil {
		return nil, err
	}
	one, two := builds["one"], builds["two"]
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	deployed := filepath.Join(b.dir, "deployed")
	if err := os.WriteFile(deployed, one, 0o755); err != nil {
		return nil, err
	}
	// PM2 runs the file itself, which cannot be overwritten then: it is removed first.
	place, how := uploadInPlace, ""
	if !isPgo {
		place, how = removeAndUpload, "removed first, since a running program cannot be written over"
	}
	defer func() { err = errors.Join(err, m.down()) }()
	if err := m.up(ctx, app{name: "app", addr: addr, program: deployed, watch: true}); err != nil {
		return nil, err
	}
	l := startLoad(addr, "", b.rate/2)
	defer func() { l.stop() }()
	if err := await(requestTimeout, "a process answers", l.answered); err != nil {
		return nil, err
	}
	if isPgo { // what has not run for its probation is nothing to go back to
		err := await(time.Minute, "the first version has passed its probation", func() error {
			out, err := m.command(ctx, "releases", "app").CombinedOutput()
			if err == nil && !strings.Contains(string(out), "good") {
				err = errors.New(string(out))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	cells = map[string]cell{}
	// count is how many fail while something is done.
	count := func(what, note string, do func() error) error {
		failed, sent, _ := l.failures()
		err := do()
		f, s, _ := l.failures()
		if err == nil {
			cells[what] = cell{samples: []float64{float64(f - failed)}, note: strings.TrimSuffix(fmt.Sprintf("of %d; %s", s-sent, note), "; ")}
		}
		return errors.Join(err, ctx.Err())
	}
	version := func(want string, since time.Time) (float64, error) {
		took := 0.0
		err := await(time.Minute, "version "+want+" answers", func() error {
			if who, at := l.newestAnswer(); !strings.HasSuffix(who, " "+want) || at.Before(since) {
				return fmt.Errorf("%q does", who)
			} else {
				took = milliseconds(at.Sub(since))
			}
			return nil
		})
		return took, err
	}
	err = count(uploadFailed, "over "+b.upload.String()+strings.TrimSuffix("; "+how, "; "), func() error {
		if err := place(deployed, two, b.upload); err != nil {
			return err
		}
		took, err := version("two", time.Now())
		if err == nil {
			cells[uploadAnswers] = cell{samples: []float64{took}}
		}
		return err
	})
	if err != nil {
		return cells, err
	}
	for _, d := range damages {
		err := count(damageTitle(d.name), "in "+observeTime.String(), func() error {
			err := place(deployed, d.make(one, two, builds["exits"], builds["hangs"]), 0)
			time.Sleep(observeTime)
			return err
		})
		if err != nil {
			return cells, err
		}
		// Back to a good one, and on to the next.
		if err := place(deployed, two, 0); err != nil {
			return cells, err
		}
		err = await(time.Minute, "a good version answers again", func() error {
			if who, err := requestOnce(addr); err != nil || !strings.HasSuffix(who, " two") || !m.knows(ctx, "app") {
				return errors.Join(errors.New("it does not: "+who), err)
			}
			return nil
		})
		if err != nil {
			// PM2 gives up after so many starts: a person starts it again.
			if err := errors.Join(runQuietly(m.command(ctx, "restart", "app")), ctx.Err()); err != nil {
				return cells, err
			}
		}
	}
	if !isPgo {
		cells[rollbackFailed] = cell{text: "no such command"}
		cells[rollbackTakes] = cell{text: "no such command"}
		return cells, nil
	}
	return cells, count(rollbackFailed, "", func() error {
		var began time.Time
		// The last of the bad ones may still be on its way, and is not ready for longer than this looks at it.
		err := await(time.Minute, "a roll-back is taken", func() error {
			began = time.Now()
			return runQuietly(m.command(ctx, "rollback", "app"))
		})
		if err != nil {
			return err
		}
		took, err := version("one", began)
		if err == nil {
			cells[rollbackTakes] = cell{samples: []float64{took}}
		}
		return err
	})
}

// builds are programs that can be told apart.
func (b *bench) builds(ctx context.Context) (map[string][]byte, error) {
	builds := map[string][]byte{}
	for _, name := range []string{"one", "two", exits, hangs} {
		path := filepath.Join(b.dir, "build")
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.build="+name, "-o", path, ".")
		cmd.Dir, cmd.Env = b.source, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if err := runQuietly(cmd); err != nil {
			return nil, err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		builds[name] = content
	}
	return builds, nil
}

// uploadInPlace writes over a file in place as scp does: it is never shorter than before until the end.
func uploadInPlace(path string, content []byte, over time.Duration) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		return err
	}
	defer f.Close()
	const pieces = 50
	for i := range pieces {
		if _, err := f.Write(content[len(content)*i/pieces : len(content)*(i+1)/pieces]); err != nil {
			return err
		}
		time.Sleep(over / pieces)
	}
	if err := f.Truncate(int64(len(content))); err != nil {
		return err
	}
	return f.Close()
}

func removeAndUpload(path string, content []byte, over time.Duration) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return uploadInPlace(path, content, over)
}
