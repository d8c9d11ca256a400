package supervise

import (
	"sync"

	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/processfile"
)

// LogFiles are the writers of log files, one a file.
type LogFiles struct {
	mu      sync.Mutex
	writers map[string]*logfile.Writer
}

// Writer returns the writer of a log file, with the policy of spec from now on.
func (l *LogFiles) Writer(path string, spec processfile.Logs) *logfile.Writer {
	policy := logfile.Policy{MaxSize: spec.MaxSize, MaxAge: spec.MaxAge, Keep: spec.Keep, KeepFor: spec.KeepFor, Compress: spec.Compress}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.writers[path]
	if w == nil {
		w = logfile.NewWriter(path, policy)
		l.writers[path] = w
	}
	w.SetPolicy(policy)
	return w
}

// Dropped returns how much could not be written to these logs.
func (l *LogFiles) Dropped(paths ...string) (lines, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, path := range paths {
		if w := l.writers[path]; w != nil {
			l, b := w.Dropped()
			lines, bytes = lines+l, bytes+b
		}
	}
	return lines, bytes
}
