package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/keeper"
)

// Bounds of a client. All answers are small, and a few programs ask for them.
const (
	maxConns     = 64
	maxHeader    = 8 << 10
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second // longer than a scrape takes
	idleTimeout  = time.Minute
)

// Server serves on a listener that the keeper holds.
type Server struct{ http http.Server }

// StartServer starts serving. The listener is closed with the server.
func StartServer(l net.Listener, o Options) *Server {
	s := &Server{http: http.Server{
		Handler:           newHandler(o),
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), // malformed requests are not worth a line
		ConnState: func(_ net.Conn, now http.ConnState) {
			if now == http.StateIdle || now == http.StateClosed {
				o.OnAnswer()
			}
		},
	}}
	go func() {
		if err := s.http.Serve(&limitedListener{Listener: l, slots: make(chan struct{}, maxConns)}); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("http ended", "error", err)
		}
	}()
	return s
}

// Close stops the server. Requests in flight get a second.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
	}
}

// limitedListener closes connections beyond a limit, so that a client that holds all of them open costs no more.
type limitedListener struct {
	net.Listener
	slots chan struct{}
}

func (b *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if keeper.CheckDescriptors("manager", 0) != nil {
			c.Close() // what is left is for commands
			continue
		}
		select {
		case b.slots <- struct{}{}:
			return &limitedConn{Conn: c, release: sync.OnceFunc(func() { <-b.slots })}, nil
		default:
			c.Close()
		}
	}
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
