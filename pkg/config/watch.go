package config

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
)

// pollInterval is the time between two looks at the files. A change takes effect once two looks find the same content, so that a
// file that is being written is not read.
const pollInterval = 500 * time.Millisecond

// layerFiles returns the paths of the files, the first one first.
func (o Options) layerFiles() []string {
	return []string{
		filepath.Join(o.Dir, "base.yaml"), filepath.Join(o.Dir, o.Name+".yaml"), filepath.Join(o.Dir, "env", o.Env+".yaml"),
	}
}

// contents holds the content of each file, or why it cannot be read, by path.
type contents map[string]content

type content struct{ text, failure string }

func readContents(o Options) contents {
	out := contents{}
	for _, path := range o.layerFiles() {
		text, err := readFile(path, maxLayer)
		if err != nil {
			out[path] = content{failure: err.Error()}
			continue
		}
		out[path] = content{text: string(text)}
	}
	return out
}

func (c content) isEmpty() bool { return c.failure == "" && strings.TrimSpace(c.text) == "" }

// Run reloads when the content of o's files has changed and at each signal from hup, until ctx ends. It compares contents instead of
// waiting for events of the file system: a directory that was replaced, a symbolic link that was switched and a mounted
// file system give none. It logs each reload with the changed keys, and returns nil.
func (l *Reloadable[T]) Run(ctx context.Context, o Options, hup <-chan os.Signal, log *zap.Logger) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	seen := readContents(o) // at the last reload, good or bad
	good := seen            // at the last good one
	var changing contents   // the look before, if it differed from seen
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			seen = readContents(o)
		case <-tick.C:
			now := readContents(o)
			if maps.Equal(now, seen) {
				changing = nil
				continue
			}
			if !maps.Equal(now, changing) {
				changing = now
				continue
			}
			seen = now
		}
		changing = nil
		switch err := l.reloadFiles(o, good, seen, log); {
		case err == nil:
			good = seen
		case errors.Is(err, errStillChanging):
			seen = nil // reload once the files have come to rest
		default:
			log.Error("configuration refused, the old one stays in force", zap.Error(err))
		}
	}
}

// errStillChanging reports that a file was written while the configuration was read.
var errStillChanging = errors.New("the files are still changing")

// reloadFiles reloads what the files hold now, and logs the keys that it changed. It refuses a file that has lost its content: an editor
// or a copy empties a file before it writes it, and an empty file is valid.
func (l *Reloadable[T]) reloadFiles(o Options, good, now contents, log *zap.Logger) error {
	before := flatten(*l.Current())
	err := findEmptied(good, now)
	if err != nil {
		l.success.Set(0)
		return err
	}
	err = l.reload(func() error {
		if !maps.Equal(readContents(o), now) {
			return errStillChanging
		}
		return nil
	})
	if err != nil {
		return err
	}
	changed := changedKeys(before, flatten(*l.Current()))
	waiting := []string{}
	for _, key := range changed {
		if l.Describe()[key].State == stateWaitsForRestart {
			waiting = append(waiting, key)
		}
	}
	log.Info("configuration reloaded", zap.Strings("changed", changed), zap.Strings("waits_for_restart", waiting))
	return nil
}

func findEmptied(good, now contents) error {
	for path, content := range now {
		if before := good[path]; content.isEmpty() && before.failure == "" && !before.isEmpty() {
			return &Error{File: path, Expected: "expected the settings that it had, and it is empty now: to drop them all, restart the program"}
		}
	}
	return nil
}
