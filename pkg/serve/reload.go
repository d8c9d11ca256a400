package serve

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"pgo/pkg/config"
)

// NewReloadWorker returns a worker that reloads the configuration at SIGHUP and when a file of o changes. From this call
// until stop, SIGHUP does not end the program, whether the worker runs or not.
func NewReloadWorker[T any](current *config.Reloadable[T], o config.Options, log *zap.Logger) (w Worker, stop func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	w = Worker{Name: "configuration", Run: func(ctx context.Context) error { return current.Run(ctx, o, hup, log) }}
	return w, func() { signal.Stop(hup) }
}
