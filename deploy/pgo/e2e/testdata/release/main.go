// Command release is the service that tests deploy: it answers with its build. Some builds misbehave, by their names.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// build is set by the linker.
var build = "none"

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "version":
			fmt.Printf(`{"version":%q,"schema_version":1}`+"\n", build)
			return
		case "check":
			if build == "unconfigured" {
				fmt.Println("key auth.secret: is missing")
				os.Exit(78)
			}
			return
		}
	}
	fmt.Println("build", build, "runs")
	switch build {
	case "exits":
		os.Exit(3)
	case "hangs":
		time.Sleep(time.Hour)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	var draining atomic.Bool
	var open atomic.Int64
	l := inherited("http")
	serveMetrics()
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/crash":
				os.Exit(1)
			case "/grow":
				mb, err := strconv.Atoi(r.URL.RawQuery)
				check(err)
				grow(mb)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			n := answered.Add(1)
			if r.URL.Path == "/fail" || build == "fails" && n%2 == 0 {
				failed.Add(1)
				w.WriteHeader(http.StatusInternalServerError)
			}
			if draining.Load() {
				w.Header().Set("Connection", "close")
			}
			fmt.Fprint(w, build)
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
		_ = server.Serve(l)
	}()
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	check(err)
	_, err = conn.Write([]byte("READY=1"))
	check(err)
	switch build {
	case "crashes":
		time.AfterFunc(time.Second, func() { os.Exit(4) })
	case "leaves":
		time.AfterFunc(time.Second, func() { os.Exit(0) })
	case "grows":
		go grow(250)
	}
	<-term
	draining.Store(true)
	l.Close()
	<-served // then every accepted connection is counted
	for end := time.Now().Add(5 * time.Second); open.Load() > 0 && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	_ = server.Shutdown(context.Background())
}

var answered, failed atomic.Int64

// inherited returns the listener of this name, nil where there is none.
func inherited(name string) net.Listener {
	i := slices.Index(strings.Split(os.Getenv("LISTEN_FDNAMES"), ":"), name)
	if i < 0 {
		return nil
	}
	l, err := net.FileListener(os.NewFile(uintptr(3+i), name))
	check(err)
	return l
}

// serveMetrics serves the number of requests by status code, on the listener admin or at $ADMIN where there is one.
func serveMetrics() {
	l := inherited("admin")
	if addr := os.Getenv("ADMIN"); l == nil && addr != "" {
		var err error
		l, err = net.Listen("tcp", addr)
		check(err)
	}
	if l == nil {
		return
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if build == "secretive" {
			fmt.Fprintln(w, "http_server_request_duration_seconds_count 1")
			return
		}
		all, bad := answered.Load(), failed.Load()
		for code, n := range map[string]int64{"200": all - bad, "500": bad} {
			fmt.Fprintf(w, "http_server_request_duration_seconds_count{http_route=\"/\",http_response_status_code=%q} %d\n", code, n)
		}
	})}
	go func() { _ = server.Serve(l) }()
}

// grow allocates MB for good, outside of the Go heap: the garbage collector would let as much garbage accumulate.
func grow(mb int) {
	block, err := syscall.Mmap(-1, 0, mb<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	check(err)
	for i := 0; i < len(block); i += os.Getpagesize() {
		block[i] = 1
	}
}

func check(err error) {
	if err != nil {
		fmt.Println("release:", err)
		os.Exit(1)
	}
}
