package config

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Reloadable holds a configuration that can be replaced while the program runs. A reader sees a whole configuration, the old
// or the new one, never a mixture.
type Reloadable[T any] struct {
	load    func() (T, error)
	current atomic.Pointer[T]
	started map[string]any // what the program was started with, by dotted key
	live    []string       // keys, or starts of keys, that take effect at once

	mu       sync.Mutex // one reload at a time
	onChange []func(T)

	success  prometheus.Gauge
	lastGood prometheus.Gauge
}

// NewReloadable returns a Reloadable that holds initial and reloads with load.
func NewReloadable[T any](initial T, load func() (T, error), reg prometheus.Registerer) *Reloadable[T] {
	l := &Reloadable[T]{
		load:     load,
		started:  flatten(initial),
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
func (l *Reloadable[T]) Reload() error { return l.reload(func() error { return nil }) }

// reload reloads unless check, which is called after the configuration was read, returns an error.
func (l *Reloadable[T]) reload(check func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, err := l.load()
	if changing := check(); changing != nil {
		return changing
	}
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

// MarkLive registers keys, or the starts of keys, that take effect at once: the program reads them from Current or OnChange.
// All others wait for a restart. Call it before Run.
func (l *Reloadable[T]) MarkLive(keys ...string) { l.live = append(l.live, keys...) }

// Describe returns, for each key, the value in force and whether another one waits for a restart.
func (l *Reloadable[T]) Describe() map[string]KeyState {
	return describeKeys(l.started, flatten(*l.Current()), l.live)
}
