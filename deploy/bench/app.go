package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// appCommand makes this program the one that is run under both managers.
const appCommand = "app"

// app is one process under a manager.
type app struct {
	name, addr string
	program    string        // default this program
	startAfter time.Duration // it serves so long after it began
	lines      int           // of log a second
	said       string        // a file that gets the number of lines it has said, when it ends
	maxLog     string        // when pgo rotates its log; default pgo's own
	watch      bool          // its program is watched
}

func (a app) args() []string {
	return []string{appCommand, "-addr", a.addr, "-start-after", a.startAfter.String(), "-lines", strconv.Itoa(a.lines), "-said", a.said}
}

// logLine is about as long as a service's lines are.
const logLine = `{"ts":"2026-01-01T00:00:00Z","level":"info","msg":"line %09d of a service's log","service":"app"}` + "\n"

// serveApp answers every request with its pid. It takes an inherited listener, or binds the address; tells whoever
// wants to know that it is ready (systemd's and PM2's way); and ends by the recipe that fits how it got its listener.
func serveApp(ctx context.Context, args []string, stdout io.Writer) error {
	var a app
	f := flag.NewFlagSet(appCommand, flag.ContinueOnError)
	f.StringVar(&a.addr, "addr", "", "")
	f.DurationVar(&a.startAfter, "start-after", 0, "")
	f.IntVar(&a.lines, "lines", 0, "")
	f.StringVar(&a.said, "said", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch build {
	case exits:
		return errors.New("this build ends at once")
	case hangs:
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(a.startAfter):
	}
	l, inherited, err := openListener(a.addr)
	if err != nil {
		return err
	}
	var draining atomic.Bool
	var open atomic.Int64
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // what fails here fails the answer too
			if draining.Load() {
				w.Header().Set("Connection", "close")
			}
			fmt.Fprint(w, responseText())
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
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	said := make(chan int, 1)
	go func() { said <- writeLines(ctx, stdout, a.lines) }()
	if err := notifyReady(); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	if inherited {
		// The next one serves already: connections are asked to go, and have time to.
		draining.Store(true)
		_ = l.Close() // inherited: the next one has its own copy
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			return err
		}
		for end := time.Now().Add(5 * time.Second); open.Load() > 0 && time.Now().Before(end); {
			time.Sleep(2 * time.Millisecond)
		}
	}
	// Whoever has a port of its own is in the way of the next one: it goes as fast as it can.
	stopping, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = server.Shutdown(stopping)
	if n := <-said; a.said != "" {
		return appendCount(a.said, n)
	}
	return nil
}

// build is set by the linker in programs that are to be told apart.
var build string

// Builds that do not get to serve.
const (
	exits = "exits"
	hangs = "hangs"
)

func responseText() string { return strings.TrimSpace(strconv.Itoa(os.Getpid()) + " " + build) }

func appendCount(path string, n int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, n)
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}

// openListener is the first inherited one, else a new one.
func openListener(addr string) (l net.Listener, inherited bool, err error) {
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		l, err = net.FileListener(os.NewFile(3, "http"))
		return l, true, err
	}
	l, err = net.Listen("tcp", addr)
	return l, false, err
}

func notifyReady() error {
	if path := os.Getenv("NOTIFY_SOCKET"); path != "" {
		conn, err := net.Dial("unixgram", path)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("READY=1")); err != nil {
			return err
		}
	}
	if fd, err := strconv.Atoi(os.Getenv("NODE_CHANNEL_FD")); err == nil {
		_, err := os.NewFile(uintptr(fd), "channel").WriteString("\"ready\"\n")
		return err
	}
	return nil
}

// writeLines says so many lines a second, numbered, until ctx ends. It returns how many.
func writeLines(ctx context.Context, stdout io.Writer, lines int) int {
	if lines == 0 {
		return 0
	}
	out := bufio.NewWriter(stdout)
	began, n := time.Now(), 0
	for ctx.Err() == nil {
		for due := int(time.Since(began).Seconds() * float64(lines)); n < due; n++ {
			fmt.Fprintf(out, logLine, n)
			if out.Buffered() > 3900 { // whole lines, each write small enough to stay in one piece
				_ = out.Flush()
			}
		}
		_ = out.Flush()
		time.Sleep(time.Millisecond)
	}
	return n
}
