package cmd

import (
	"context"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/logfile"
)

// ownLogPolicy is the rotation of pgo's own log.
var ownLogPolicy = logfile.Policy{MaxSize: 10 << 20, Keep: 5, KeepFor: 14 * 24 * time.Hour, Compress: true}

// openOwnLog returns the log of the keeper or the manager: the log in the home, which both rotate, or stdout where that is
// something else, as in the foreground.
func openOwnLog(ctx context.Context, stdout io.Writer, h home.Home) io.Writer {
	own, ok := logfile.NewOwnLog(h.LogPath("pgo"), ownLogPolicy, unix.Stdout, unix.Stderr)
	if !ok {
		return stdout
	}
	// After the other has rotated, a panic of this process would go to the rotated file if it had not logged since.
	go func() {
		ticker := time.NewTicker(time.Minute)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				own.Reopen()
			case <-ctx.Done():
				return
			}
		}
	}()
	return own
}

// newEventLog returns a logger of JSON lines with the keys of pgo's services.
func newEventLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				a.Key = "ts"
			}
			return a
		},
	}))
}
