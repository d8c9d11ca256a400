// Package watch notices that deployed files have changed, and says so when they have stopped changing.
//
// It looks at them again and again, with one stat for each file, since not every file system tells of changes (network
// folders, those that another kernel writes to). Where it does it is believed, and the looks are seldom. Once a file has
// changed it is looked at more often, until its size, its time and its content have been the same for a while. Then its
// user is asked to take it.
//
// That a file has stopped changing does not mean that it is whole: an upload may pause. So a user must prove the file,
// and may refuse it. A refusal is reported only when the file has not changed for longer, and then once.
package watch

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// File is one file that is watched.
type File struct {
	Path       string   // links are followed
	LastSHA256 string   // SHA-256, in small hex digits, of the content that was taken or refused last; what differs is news
	Companions []string // files that speak of it, as PATH.sha256 does: when they change, a refused file is offered again
}

// Change is a file that has another content than before.
type Change struct {
	Path   string
	SHA256 string // in small hex digits
	Size   int64
}

// ErrNotNow is wrapped by a user's error that has nothing to do with the file: it is offered again after Options.Retry.
var ErrNotNow = errors.New("not now")

// ErrChanged is wrapped by a user's error that says that the file has another content than the change: it is waited for
// once more, and offered again.
var ErrChanged = errors.New("it has changed since")

// Handler is who wants to know. Its methods are called for one change of a file at a time, and for several files at once.
// Their context ends with Run, or when the file is watched no more.
type Handler interface {
	// HandleChange is given a file that has stopped changing; nil says that this content is dealt with. It takes as long as
	// it takes; what happens to the file meanwhile is noticed afterwards. Since an upload may go on at any moment, a
	// user that finds another content than c's returns an error: the file has changed then, and is offered again.
	// After a refusal it is also given the content that it took last, so that it knows that all is well again.
	HandleChange(ctx context.Context, c Change) error
	// HandleRefusal reports the error with which Take did not take the file, or why it cannot be read; c has only a path
	// then. It is not called again until the file, or one of those that speak of it, changes.
	HandleRefusal(ctx context.Context, c Change, why error)
}

// Options say how patient a watcher is. The zero value of each is its default.
type Options struct {
	PollInterval    time.Duration // how often a file is looked at while nothing happens; 200 ms
	UseInotify      bool          // have the kernel tell of changes, where it can
	IdleInterval    time.Duration // how often a file is looked at then; 5 s
	RewatchInterval time.Duration // how often the kernel is asked anew to tell, where nothing was found that calls for it; 30 s
	ChangeInterval  time.Duration // and while it changes; 50 ms
	StableFor       time.Duration // for how long it must be the same; 150 ms
	RefusalDelay    time.Duration // for how long a refused file must be the same before it is reported; 5 s
	RetryInterval   time.Duration // when a user that said ErrNotNow is asked again; 1 s
	ClockResolution time.Duration // the coarsest clock of a file system: two writes within it may bear one time; 2 s
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

// Watcher watches files.
type Watcher struct {
	handler Handler
	options Options

	scanNow chan struct{} // there is something to look at

	mu    sync.Mutex
	files map[string]*file
}

// New makes a watcher of nothing yet.
func New(user Handler, o Options) *Watcher {
	return &Watcher{handler: user, options: o.withDefaults(), scanNow: make(chan struct{}, 1), files: map[string]*file{}}
}

// SetFiles replaces the files that are watched, while it runs or before. One that was watched already goes on as it was:
// its Seen counts for nothing. A path counts once, though several processes may run what it holds.
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

// Run watches until ctx ends, and returns when its user has answered.
func (w *Watcher) Run(ctx context.Context) {
	var following sync.WaitGroup
	defer following.Wait()
	tells := &notifier{}
	if w.options.UseInotify {
		tells = newNotifier()
	}
	following.Go(func() { tells.readEvents(w.options.ChangeInterval) })
	defer tells.close()
	var hears bool
	var asked time.Time
	for news := true; ; {
		files, idle := w.listFiles()
		// Before they are looked at: what happens from here on is heard.
		if news || time.Since(asked) >= w.options.RewatchInterval {
			hears, asked = tells.watchFiles(files), time.Now()
		}
		next := w.options.PollInterval
		if hears {
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
				w.requestScan() // nobody has looked at it for a while
			})
		}
		timer := time.NewTimer(next)
		news = true
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			news = false
		case <-tells.changes:
		case <-w.scanNow:
		}
		timer.Stop()
	}
}

// requestScan has Run look at its files now.
func (w *Watcher) requestScan() {
	select {
	case w.scanNow <- struct{}{}:
	default:
	}
}

// listFiles returns the files, and those of them that nobody follows.
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
