package serve

import (
	"bufio"
	"net"
	"net/http"
	"sync/atomic"
)

// closeWhenDraining asks clients to close their connection with each answer that begins once draining is set, also with the
// answer to a request that came before.
func closeWhenDraining(draining *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&closeWriter{ResponseWriter: w, draining: draining}, r)
	})
}

// closeWriter decides at the last moment, when the header goes out. http.Server.SetKeepAlivesEnabled does that too, but it
// closes idle connections at once, on which a request may be on its way.
type closeWriter struct {
	http.ResponseWriter
	draining *atomic.Bool
}

func (w *closeWriter) WriteHeader(status int) {
	w.setConnectionHeader()
	w.ResponseWriter.WriteHeader(status)
}

func (w *closeWriter) Write(p []byte) (int, error) {
	w.setConnectionHeader()
	return w.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (w *closeWriter) Flush() {
	w.setConnectionHeader()
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a Flusher has no error to return
}

// Hijack implements http.Hijacker.
func (w *closeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController reach the server's writer.
func (w *closeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// setConnectionHeader has no effect once the header is out.
func (w *closeWriter) setConnectionHeader() {
	if w.draining.Load() {
		w.Header().Set("Connection", "close")
	}
}
