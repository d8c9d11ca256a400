package watch

import (
	"cmp"
	"context"
	"errors"
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
