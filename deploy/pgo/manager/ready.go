package manager

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"pgo/deploy/pgo/processfile"
)

// Probes of readiness by TCP or HTTP.
const (
	probeEvery   = 100 * time.Millisecond
	probeTimeout = 2 * time.Second
)

// settled is how long a process has to run to count as ready where nothing else tells: one that cannot work at all has
// mostly ended by then.
const settled = 250 * time.Millisecond

// awaitReady returns nil when the process is ready, an error when the time for it is over or ctx ends. told is what
// the process says through its notify socket.
func awaitReady(ctx context.Context, r processfile.Ready, told <-chan struct{}) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.Within, fmt.Errorf("not ready within %s", r.Within))
	defer cancel()
	if r.Notify {
		select {
		case <-told:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w: it never sent READY=1", context.Cause(ctx))
		}
	}
	probe := probes(r)
	every := time.NewTicker(probeEvery)
	defer every.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

func probes(r processfile.Ready) func(context.Context) error {
	switch {
	case r.TCP != "":
		dialer := net.Dialer{Timeout: probeTimeout}
		return func(ctx context.Context) error {
			conn, err := dialer.DialContext(ctx, "tcp", r.TCP)
			if err != nil {
				return err
			}
			return conn.Close()
		}
	case r.HTTP != "":
		// No redirects and no connection kept: what counts is this process's own answer, now.
		client := &http.Client{
			Timeout:       probeTimeout,
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		return func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.HTTP, nil)
			if err != nil {
				return err
			}
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			res.Body.Close()
			if res.StatusCode/100 != 2 {
				return fmt.Errorf("%s answers %s", r.HTTP, res.Status)
			}
			return nil
		}
	default:
		return func(ctx context.Context) error {
			select {
			case <-time.After(settled):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}
