package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds of what a client may take. All that is served is small, and asked for by a few programs.
const (
	mostConns  = 64
	mostHeader = 8 << 10
	toAsk      = 5 * time.Second
	toRead     = 30 * time.Second // longer than a scrape takes
	idle       = time.Minute
)

// Server serves on a listener that somebody else keeps.
type Server struct{ http http.Server }

// StartServer begins to. The listener is closed with the server.
func StartServer(l net.Listener, o Options) *Server {
	s := &Server{http: http.Server{
		Handler:           newHandler(o),
		ReadHeaderTimeout: toAsk, ReadTimeout: toAsk, WriteTimeout: toRead, IdleTimeout: idle,
		MaxHeaderBytes: mostHeader, DisableGeneralOptionsHandler: true,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), // what strangers send is not worth a line
		ConnState: func(_ net.Conn, now http.ConnState) {
			if now == http.StateIdle || now == http.StateClosed {
				o.OnAnswer()
			}
		},
	}}
	go func() {
		if err := s.http.Serve(&bounded{Listener: l, taken: make(chan struct{}, mostConns)}); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("http ended", "error", err)
		}
	}()
	return s
}

// Close ends it. Requests under way have a moment.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
	}
}

// bounded closes connections that are too many at once: whoever holds them all open costs no more than that.
type bounded struct {
	net.Listener
	taken chan struct{}
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case b.taken <- struct{}{}:
			return &counted{Conn: c, free: sync.OnceFunc(func() { <-b.taken })}, nil
		default:
			c.Close()
		}
	}
}

type counted struct {
	net.Conn
	free func()
}

func (c *counted) Close() error {
	defer c.free()
	return c.Conn.Close()
}
