// Package watch detects changed deployed files and hands them to a handler once they have stopped changing.
//
// It polls with one stat a file, since not every file system reports changes (network file systems, those that another kernel
// writes to). Where inotify is reliable it is used, and polls are rare. A changed file is polled more often, until its size,
// its time and its content have been the same for a while. Then the handler is called.
//
// A file that has stopped changing need not be whole: an upload may pause. So a handler must verify the file, and may refuse
// it. A refusal is reported once, after the file has not changed for longer.
package watch

import (
	"context"
	"sync"
	"time"
)

// Watcher watches files. Its methods are safe for concurrent use.
type Watcher struct {
	handler Handler
	options Options

	scanNow chan struct{} // requests a scan

	mu    sync.Mutex
	files map[string]*file
}

// New returns a watcher without files.
func New(user Handler, o Options) *Watcher {
	return &Watcher{handler: user, options: o.withDefaults(), scanNow: make(chan struct{}, 1), files: map[string]*file{}}
}

// SetFiles replaces the watched files, before or while Run runs. A file that was watched already keeps its state: its
// LastSHA256 is ignored. A path counts once, though several processes may run its program.
func (w *Watcher) SetFiles(files ...File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.files
	w.files = map[string]*file{}
	for _, f := range files {
		if w.files[f.Path] != nil {
			continue // named twice
		}
		is := before[f.Path]
		if is == nil {
			is = &file{path: f.Path, acceptedSHA256: f.LastSHA256, removed: make(chan struct{})}
		}
		delete(before, f.Path)
		is.setCompanions(f.Companions)
		w.files[f.Path] = is
	}
	for _, f := range before {
		close(f.removed)
	}
	w.requestScan()
}

// Run watches until ctx ends, and returns once the handler has returned.
func (w *Watcher) Run(ctx context.Context) {
	var following sync.WaitGroup
	defer following.Wait()
	notifier := &notifier{}
	if w.options.UseInotify {
		notifier = newNotifier()
	}
	following.Go(func() { notifier.readEvents(w.options.ChangeInterval) })
	defer notifier.close()
	var reliable bool
	var renewed time.Time
	for changed := true; ; {
		files, idle := w.listFiles()
		// Before the scan: all later changes cause an event.
		if changed || time.Since(renewed) >= w.options.RewatchInterval {
			reliable, renewed = notifier.watchFiles(files), time.Now()
		}
		next := w.options.PollInterval
		if reliable {
			next = w.options.IdleInterval
		}
		for _, f := range idle {
			if !f.hasChanged(time.Now()) {
				continue
			}
			f.busy.Store(true)
			following.Go(func() {
				follower := follower{handler: w.handler, options: w.options, file: f}
				follower.followFile(ctx)
				f.busy.Store(false)
				w.requestScan() // no one has polled it for a while
			})
		}
		timer := time.NewTimer(next)
		changed = true
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			changed = false
		case <-notifier.changes:
		case <-w.scanNow:
		}
		timer.Stop()
	}
}

// requestScan makes Run scan its files now.
func (w *Watcher) requestScan() {
	select {
	case w.scanNow <- struct{}{}:
	default:
	}
}

// listFiles returns the files, and those of them that are not being followed.
func (w *Watcher) listFiles() (all, idle []*file) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.files {
		all = append(all, f)
		if !f.busy.Load() {
			idle = append(idle, f)
		}
	}
	return all, idle
}
