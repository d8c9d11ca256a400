package httpx

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"pgo/pkg/config"
)

// NewReloadWorker is a worker that reloads the configuration at SIGHUP and when a file of dir changes. From now on until stop
// is called SIGHUP does not end the program, whether the worker runs or not.
func NewReloadWorker[T any](live *config.Reloadable[T], dir string, log *zap.Logger) (w Worker, stop func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	w = Worker{Name: "configuration", Run: func(ctx context.Context) error { return live.Run(ctx, dir, hup, log) }}
	return w, func() { signal.Stop(hup) }
}
