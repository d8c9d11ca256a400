package manager

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/processfile"
)

// Probes of readiness by TCP, HTTP or a command.
const (
	probeEvery   = 100 * time.Millisecond
	probeTimeout = 2 * time.Second
)

// settled is how long a process has to run to count as ready where nothing else tells: one that cannot work at all has
// mostly ended by then.
const settled = 250 * time.Millisecond

// awaitReady gives nil when the child is ready, an error when the time for it is over; nothing when ctx ends.
func (h *host) awaitReady(ctx context.Context, k *child) <-chan error {
	answer := make(chan error, 1)
	go func() {
		err := h.isReady(ctx, k)
		if ctx.Err() == nil {
			answer <- err
		}
	}()
	return answer
}

func (h *host) isReady(ctx context.Context, k *child) error {
	r := k.spec.Readiness
	if k.spec.Kind == processfile.KindOneShot {
		<-ctx.Done() // its end tells
		return ctx.Err()
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.Timeout-k.up(), fmt.Errorf("not ready within %s", r.Timeout))
	defer cancel()
	if r.Notify {
		select {
		case <-k.told:
			return nil
		case <-limited.Done():
			return fmt.Errorf("%w: it never sent READY=1", context.Cause(limited))
		}
	}
	probe := probes(r.TCP, r.HTTP, r.Exec, k)
	if probe == nil {
		select {
		case <-time.After(settled - k.up()):
			return nil
		case <-limited.Done():
			return context.Cause(limited)
		}
	}
	every := time.NewTicker(probeEvery)
	defer every.Stop()
	for {
		asked, done := context.WithTimeout(limited, probeTimeout)
		err := probe(asked)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-every.C:
		case <-limited.Done():
			return fmt.Errorf("%w: %w", context.Cause(limited), err)
		}
	}
}

// attend gives an error when a ready child does not serve any more, by its own sign of life or by being asked.
func (h *host) attend(ctx context.Context, k *child) <-chan error {
	answer := make(chan error, 2)
	if k.spec.Watchdog > 0 {
		go func() {
			timer := time.NewTimer(k.spec.Watchdog)
			defer timer.Stop()
			for {
				select {
				case <-k.pings:
					timer.Reset(k.spec.Watchdog)
				case <-timer.C:
					answer <- fmt.Errorf("no WATCHDOG=1 within %s", k.spec.Watchdog)
					return
				case <-ctx.Done():
					return
				case <-k.exit.Done:
					return
				}
			}
		}()
	}
	if probe := probes(k.spec.Liveness.TCP, k.spec.Liveness.HTTP, k.spec.Liveness.Exec, k); probe != nil {
		go func() {
			if err := h.stays(ctx, k, probe); err != nil && ctx.Err() == nil {
				answer <- err
			}
		}()
	}
	return answer
}

// stays asks again and again; the error is that of the last of too many in a row.
func (h *host) stays(ctx context.Context, k *child, probe func(context.Context) error) error {
	live := k.spec.Liveness
	every := time.NewTicker(live.Interval)
	defer every.Stop()
	for failures := 0; ; {
		select {
		case <-every.C:
		case <-ctx.Done():
			return nil
		case <-k.exit.Done:
			return nil
		}
		asked, done := context.WithTimeout(ctx, live.Timeout)
		err := probe(asked)
		done()
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures >= live.Failures {
			return fmt.Errorf("not alive, asked %d times: %w", failures, err)
		}
	}
}

// probes is the question that a file asks for; nil where it asks for none.
func probes(tcp, url string, command []string, k *child) func(context.Context) error {
	switch {
	case tcp != "":
		return func(ctx context.Context) error {
			var dialer net.Dialer
			conn, err := dialer.DialContext(ctx, "tcp", tcp)
			if err != nil {
				return err
			}
			return conn.Close()
		}
	case url != "":
		// No redirects and no connection kept: what counts is this process's own answer, now.
		client := &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		return func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			res.Body.Close()
			if res.StatusCode/100 != 2 {
				return fmt.Errorf("%s answers %s", url, res.Status)
			}
			return nil
		}
	case len(command) > 0:
		return func(ctx context.Context) error { return k.run(ctx, command) }
	default:
		return nil
	}
}

// run runs a command like the process itself, but without its sockets.
func (k *child) run(ctx context.Context, command []string) error {
	env := surroundings(k.host.env, k.spec)
	program, err := find(command[0], env)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, command[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = k.dir(), list(env), time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	said := strings.TrimSpace(string(out))
	if len(said) > 200 {
		said = said[len(said)-200:]
	}
	if said != "" {
		return fmt.Errorf("%s: %w: %s", command[0], err, said)
	}
	return fmt.Errorf("%s: %w", command[0], err)
}
