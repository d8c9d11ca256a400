package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// serveWeb serves HTTP as pgo's services do: on the listener inherited as http, ready when it reports so, and with a soft drain
// when it is asked to end. It returns the drain.
func serveWeb() (drain func()) {
	var draining atomic.Bool
	var open atomic.Int64
	l := inheritedListener("http")
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/crash" {
				os.Exit(1)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/slow" {
				time.Sleep(300 * time.Millisecond)
			}
			if draining.Load() {
				w.Header().Set("Connection", "close")
			}
			fmt.Fprint(w, os.Getpid())
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
			}
		},
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(l); err != nil && !draining.Load() {
			exitOnError(err)
		}
	}()
	return func() {
		draining.Store(true)
		l.Close()
		<-served
		for end := time.Now().Add(5 * time.Second); open.Load() > 0 && time.Now().Before(end); {
			time.Sleep(2 * time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	}
}

// inheritedListener returns the listener of this name.
func inheritedListener(wanted string) net.Listener {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		exitOnError(fmt.Errorf("LISTEN_PID is %q, want %d", os.Getenv("LISTEN_PID"), os.Getpid()))
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i, name := range names {
		if name != wanted {
			continue
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(3+i), syscall.F_GETFL, 0)
		if errno != 0 || flags&syscall.O_NONBLOCK == 0 {
			exitOnError(fmt.Errorf("the listener has lost O_NONBLOCK: %o %w", flags, errno))
		}
		l, err := net.FileListener(os.NewFile(uintptr(3+i), name))
		exitOnError(err)
		return l
	}
	exitOnError(fmt.Errorf("no listener %s in %v", wanted, names))
	return nil
}
