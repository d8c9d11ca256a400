// Command release is what tests deploy: a service that answers with its build. Some builds do not work.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
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
	l, err := net.FileListener(os.NewFile(3, "http"))
	check(err)
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
	go func() { _ = server.Serve(l) }()
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	check(err)
	_, err = conn.Write([]byte("READY=1"))
	check(err)
	switch build {
	case "crashes":
		time.AfterFunc(500*time.Millisecond, func() { os.Exit(4) })
	case "grows":
		go grow(250)
	}
	<-term
	draining.Store(true)
	l.Close()
	for end := time.Now().Add(5 * time.Second); open.Load() > 0 && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	_ = server.Shutdown(context.Background())
}

var grown [][]byte

// grow takes so many MB for good.
func grow(mb int) {
	block := make([]byte, mb<<20)
	for i := range block {
		block[i] = byte(i)
	}
	grown = append(grown, block)
}

func check(err error) {
	if err != nil {
		fmt.Println("release:", err)
		os.Exit(1)
	}
}
