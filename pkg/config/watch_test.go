package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pgo/pkg/config"
	"pgo/pkg/testing/testkit"
)

// watched is a configuration that is reloaded until the test ends.
type watched struct {
	t       *testing.T
	current *config.Reloadable[sample]
	log     *observer.ObservedLogs
	hup     chan os.Signal
}

// watchDir starts with what is in dir. The configuration's name tells which content is in force.
func watchDir(t *testing.T, dir string) watched {
	t.Helper()
	o := config.Options{Dir: dir, Name: "sample", Env: "dev", Environ: []string{goodSecret}}
	load := func() (sample, error) { return config.Load(defaults(), o) }
	first, err := load()
	if err != nil {
		t.Fatal(err)
	}
	core, log := observer.New(zap.InfoLevel)
	w := watched{t: t, current: config.NewReloadable(first, load, prometheus.NewRegistry()), log: log, hup: make(chan os.Signal)}
	w.current.MarkLive("name")
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.current.Run(ctx, o, w.hup, zap.New(core)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	w.hup <- os.Interrupt // received, so Run has read the files
	return w
}

func (w watched) awaitName(want string) {
	w.t.Helper()
	testkit.Eventually(w.t, "the configuration is reloaded", func() error {
		if got := w.current.Current().Name; got != want {
			return fmt.Errorf("the name is %q, want %q", got, want)
		}
		return nil
	})
}

// awaitRefusal waits for a refusal that names text.
func (w watched) awaitRefusal(text string) {
	w.t.Helper()
	testkit.Eventually(w.t, "the configuration is refused", func() error {
		for _, entry := range w.log.FilterMessageSnippet("configuration refused").All() {
			if strings.Contains(fmt.Sprint(entry.ContextMap()["error"]), text) {
				return nil
			}
		}
		return errors.New("no refusal")
	})
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestReloadAfterEveryKindOfChange(t *testing.T) {
	const name = "sample.yaml"
	t.Run("written in place, renamed over, moved away and written", func(t *testing.T) {
		dir := writeDir(t, map[string]string{name: "name: one"})
		w := watchDir(t, dir)
		path := filepath.Join(dir, name)
		writeFile(t, path, "name: two")
		w.awaitName("two")
		writeFile(t, path+".tmp", "name: three")
		must(t, os.Rename(path+".tmp", path))
		w.awaitName("three")
		must(t, os.Rename(path, path+"~"))
		writeFile(t, path, "name: four")
		w.awaitName("four")
	})
	t.Run("ConfigMap", func(t *testing.T) {
		dir := writeDir(t, map[string]string{name: ""})
		mount := func(version, text string) {
			must(t, os.Mkdir(filepath.Join(dir, version), 0o700))
			writeFile(t, filepath.Join(dir, version, name), text)
			must(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")), os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		}
		mount("..1", "name: one")
		must(t, os.Remove(filepath.Join(dir, name)), os.Symlink("..data/"+name, filepath.Join(dir, name)))
		w := watchDir(t, dir)
		mount("..2", "name: two")
		must(t, os.RemoveAll(filepath.Join(dir, "..1")))
		w.awaitName("two")
		mount("..3", "name: three")
		w.awaitName("three")
	})
	t.Run("symbolic link to a release", func(t *testing.T) {
		one, two := writeDir(t, map[string]string{name: "name: one"}), writeDir(t, map[string]string{name: "name: two"})
		current := filepath.Join(t.TempDir(), "current")
		must(t, os.Symlink(one, current))
		w := watchDir(t, current)
		must(t, os.Symlink(two, current+"2"), os.Rename(current+"2", current))
		w.awaitName("two")
		writeFile(t, filepath.Join(two, name), "name: three")
		w.awaitName("three")
	})
	t.Run("recreated directory", func(t *testing.T) {
		dir, other := writeDir(t, map[string]string{name: "name: one"}), writeDir(t, map[string]string{name: "name: two"})
		w := watchDir(t, dir)
		must(t, os.RemoveAll(dir))
		w.awaitRefusal("expected a readable file")
		must(t, os.Rename(other, dir))
		w.awaitName("two")
		writeFile(t, filepath.Join(dir, name), "name: three")
		w.awaitName("three")
	})
}

func TestEmptiedFileIsRefused(t *testing.T) {
	dir := writeDir(t, map[string]string{"sample.yaml": "name: one"})
	w := watchDir(t, dir)
	path := filepath.Join(dir, "sample.yaml")
	writeFile(t, path, "\n")
	w.awaitRefusal("expected the settings that it had")
	w.hup <- os.Interrupt
	w.hup <- os.Interrupt // received, so the first one is done
	if got := w.current.Current().Name; got != "one" {
		t.Errorf("the name is %q", got)
	}
	writeFile(t, path, "name: two")
	w.awaitName("two")
}

func TestReloadNamesTheKeys(t *testing.T) {
	dir := writeDir(t, map[string]string{"sample.yaml": "name: one\nmysql: {timeout: 1s}"})
	w := watchDir(t, dir)
	writeFile(t, filepath.Join(dir, "sample.yaml"), "name: two\nmysql: {timeout: 2s}")
	w.awaitName("two")
	testkit.Eventually(t, "the log names the keys", func() error {
		for _, entry := range w.log.FilterMessage("configuration reloaded").All() {
			fields := entry.ContextMap()
			if fmt.Sprint(fields["changed"]) == "[mysql.timeout name]" && fmt.Sprint(fields["waits_for_restart"]) == "[mysql.timeout]" {
				return nil
			}
		}
		return fmt.Errorf("log: %v", w.log.All())
	})
	keys := w.current.Describe()
	for key, want := range map[string]config.KeyState{
		"name":           {Value: "two", State: "in_force"},
		"mysql.timeout":  {Value: "1s", State: "waits_for_restart", Configured: "2s"},
		"mysql.max_open": {Value: defaults().MySQL.MaxOpen, State: "in_force"},
	} {
		if keys[key] != want {
			t.Errorf("%s is %+v, want %+v", key, keys[key], want)
		}
	}
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "0123456789abcdefghij") || !strings.Contains(string(text), `"mysql.password":{"value":"***"`) {
		t.Errorf("secrets are not masked: %s", text)
	}
}
