package serve

import (
	"context"
	"net"
	"net/http"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// drain ends the program without dropping a request. http.Server.Shutdown alone drops some: it closes connections on which a
// request is on its way (golang/go#65802, golang/go#75591). So the program first reports that it is not ready, closes its copy
// of the listener, asks each connection to close after its next answer, and waits until none is open or the drain time is
// over; then it calls Shutdown.
func (p Program) drain(server *http.Server, public net.Listener, accepting <-chan struct{}, conns *connections) {
	p.Health.StartDrain()
	p.notifyManager(daemon.SdNotifyStopping)
	p.Log.Info("draining", zap.Int("connections", conns.countOpen()))
	over, done := context.WithTimeout(context.Background(), p.Config.DrainTimeout)
	defer done()
	// Closing waits for an Accept under way, which may take until the next connection when another process made
	// the shared listener blocking (golang/go#43894).
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		public.Close()
		if accepting != nil {
			<-accepting // then every connection that was accepted is also counted
		}
	}()
	select {
	case <-closed:
	case <-over.Done():
	}
	select {
	case <-conns.notifyEmpty():
	case <-over.Done():
		p.Log.Info("connections are still open at the end of the drain", zap.Int("connections", conns.countOpen()))
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		p.Log.Warn("requests were cut off at the end of the drain", zap.Int("connections", conns.countOpen()), zap.Error(err))
	}
}
