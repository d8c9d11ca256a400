package serve_test

import (
	"context"
	"os"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pgo/pkg/config"
	"pgo/pkg/serve"
)

// TestReloadWorker sends SIGHUP before the worker runs, which would else end this program, and once more.
func TestReloadWorker(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/env", 0o700); err != nil {
		t.Fatal(err)
	}
	loads := 0
	live := config.NewReloadable(0, func() (int, error) { loads++; return loads, nil }, prometheus.NewRegistry())
	loaded := make(chan int)
	live.OnChange(func(n int) { loaded <- n })
	w, stop := serve.NewReloadWorker(live, config.Options{Dir: dir, Name: "sample", Env: "test"}, zap.NewNop())
	defer stop()
	hup := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hup()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	for want := 1; want <= 2; want++ {
		select {
		case n := <-loaded:
			if n != want {
				t.Errorf("load %d, want %d", n, want)
			}
		case <-soon():
			t.Fatal("the configuration is not read again")
		}
		if want == 1 {
			hup()
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
