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
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// File is a file to watch.
type File struct {
	Path       string   // symbolic links are followed
	LastSHA256 string   // lowercase hex SHA-256 of the content handled last; a different content is a change
	Companions []string // related files such as PATH.sha256: when they change, a refused file is offered again
}

// Change is a file with new content.
type Change struct {
	Path   string
	SHA256 string // lowercase hex
	Size   int64
}

// ErrNotNow is wrapped by a handler's error that does not concern the file: it is offered again after RetryInterval.
var ErrNotNow = errors.New("not now")

// ErrChanged is wrapped by a handler's error if the file's content differs from the change: the watcher waits until the file
// is stable again and offers it again.
var ErrChanged = errors.New("it has changed since")

// Handler handles changes. Its methods are called for one change of a file at a time, and for several files concurrently.
// Their context ends with Run, or when the file is no longer watched.
type Handler interface {
	// HandleChange handles a file that has stopped changing; nil means that the content was accepted. It may take long;
	// changes meanwhile are detected afterwards. Since an upload may go on at any moment, a handler that finds a content
	// other than c's returns an error: the file is offered again then. After a refusal HandleChange is also called for the
	// content that it accepted last, so that the handler knows that it is back.
	HandleChange(ctx context.Context, c Change) error
	// HandleRefusal reports HandleChange's error, or why the file cannot be read; c has only a path then. It is not called
	// again until the file, or one of its companions, changes.
	HandleRefusal(ctx context.Context, c Change, why error)
}

// Options sets the intervals of a watcher. The zero value of each field is its default.
type Options struct {
	PollInterval    time.Duration // between polls of an unchanged file; 200 ms
	UseInotify      bool          // use inotify where it is available
	IdleInterval    time.Duration // between polls while inotify is reliable; 5 s
	RewatchInterval time.Duration // between attempts to renew the inotify watches of idle files; 30 s
	ChangeInterval  time.Duration // between polls of a changing file; 50 ms
	StableFor       time.Duration // how long a file must stay the same; 150 ms
	RefusalDelay    time.Duration // how long a refused file must stay the same before it is reported; 5 s
	RetryInterval   time.Duration // before a handler that returned ErrNotNow is called again; 1 s
	ClockResolution time.Duration // coarsest clock of a file system: two writes within it may have the same time; 2 s
}

func (o Options) withDefaults() Options {
	return Options{
		PollInterval:    cmp.Or(o.PollInterval, 200*time.Millisecond),
		UseInotify:      o.UseInotify,
		IdleInterval:    cmp.Or(o.IdleInterval, 5*time.Second),
		RewatchInterval: cmp.Or(o.RewatchInterval, 30*time.Second),
		ChangeInterval:  cmp.Or(o.ChangeInterval, 50*time.Millisecond),
		StableFor:       cmp.Or(o.StableFor, 150*time.Millisecond),
		RefusalDelay:    cmp.Or(o.RefusalDelay, 5*time.Second),
		RetryInterval:   cmp.Or(o.RetryInterval, time.Second),
		ClockResolution: cmp.Or(o.ClockResolution, 2*time.Second),
	}
}

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
				w.followFile(ctx, f)
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
