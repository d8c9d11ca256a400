package config

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// debounce is the pause after the last change before the files are read: an editor or a copy writes in steps.
const debounce = 250 * time.Millisecond

// Reloadable holds a configuration that can be replaced while the program runs. A reader sees a whole configuration, the old
// or the new one, never a mixture.
type Reloadable[T any] struct {
	load    func() (T, error)
	current atomic.Pointer[T]

	mu       sync.Mutex // one reload at a time
	onChange []func(T)

	success  prometheus.Gauge
	lastGood prometheus.Gauge
}

// NewReloadable returns a Reloadable that holds initial and reloads with load.
func NewReloadable[T any](initial T, load func() (T, error), reg prometheus.Registerer) *Reloadable[T] {
	l := &Reloadable[T]{
		load:     load,
		success:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "pgo_config_last_reload_successful", Help: "1 when the last reading of the configuration was good, else 0."}),
		lastGood: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pgo_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was read."}),
	}
	reg.MustRegister(l.success, l.lastGood)
	l.current.Store(&initial)
	l.success.Set(1)
	l.lastGood.SetToCurrentTime()
	return l
}

// Current returns the configuration in force. The caller must not change it.
func (l *Reloadable[T]) Current() *T { return l.current.Load() }

// OnChange registers fn, which is called with each new configuration, one call at a time. Call it before Run.
func (l *Reloadable[T]) OnChange(fn func(T)) { l.onChange = append(l.onChange, fn) }

// Reload reads the whole configuration and swaps it in. If it is bad, the old one stays in force and Reload returns the
// reason.
func (l *Reloadable[T]) Reload() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, err := l.load()
	if err != nil {
		l.success.Set(0)
		return err
	}
	l.current.Store(&next)
	l.success.Set(1)
	l.lastGood.SetToCurrentTime()
	for _, fn := range l.onChange {
		fn(next)
	}
	return nil
}

// Run reloads when a file of dir changes and at each signal from hup, until ctx ends. It logs failed reloads, and returns an
// error only if dir cannot be watched.
func (l *Reloadable[T]) Run(ctx context.Context, dir string, hup <-chan os.Signal, log *zap.Logger) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch configuration: %w", err)
	}
	defer w.Close()
	for _, d := range []string{dir, filepath.Join(dir, "env")} {
		if err := w.Add(d); err != nil {
			return fmt.Errorf("watch configuration directory %s: %w", d, err)
		}
	}
	quiet := time.NewTimer(0)
	<-quiet.C
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.Events:
			if e.Has(fsnotify.Chmod) || filepath.Ext(e.Name) != ".yaml" {
				continue
			}
			quiet.Reset(debounce)
			continue
		case err := <-w.Errors:
			log.Warn("watching the configuration", zap.Error(err))
			continue
		case <-hup:
		case <-quiet.C:
		}
		if err := l.Reload(); err != nil {
			log.Error("configuration refused, the old one stays in force", zap.Error(err))
			continue
		}
		log.Info("configuration reloaded")
	}
}
