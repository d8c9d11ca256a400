package httpx

import (
	"bufio"
	"net"
	"net/http"
	"sync/atomic"
)

// closeWhen asks clients to close their connection with each answer that begins once draining is set, also
// with that to a request which came before.
func closeWhen(draining *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&closingWriter{ResponseWriter: w, draining: draining}, r)
	})
}

// closingWriter decides at the last moment, when the header goes out. http.Server.SetKeepAlivesEnabled would
// do that too, but it closes idle connections at once, on which a request may be on its way.
type closingWriter struct {
	http.ResponseWriter
	draining *atomic.Bool
}

func (w *closingWriter) WriteHeader(status int) {
	w.mark()
	w.ResponseWriter.WriteHeader(status)
}

func (w *closingWriter) Write(p []byte) (int, error) {
	w.mark()
	return w.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (w *closingWriter) Flush() {
	w.mark()
	_ = http.NewResponseController(w.ResponseWriter).Flush() // as a Flusher: no error to return
}

// Hijack implements http.Hijacker.
func (w *closingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (w *closingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// mark has no effect once the header is out.
func (w *closingWriter) mark() {
	if w.draining.Load() {
		w.Header().Set("Connection", "close")
	}
}
