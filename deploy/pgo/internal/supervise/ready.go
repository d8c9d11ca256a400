package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// Probes of readiness by TCP, HTTP or a command.
const (
	probeEvery   = 100 * time.Millisecond
	probeTimeout = 2 * time.Second
)

// minUptime is how long a process has to run to count as ready if it has no probe. A process that cannot work at all has
// mostly ended by then.
const minUptime = 250 * time.Millisecond

// awaitReady sends nil when the child is ready, or an error when its timeout is over. It sends nothing if ctx ends.
func (h *Deps) awaitReady(ctx context.Context, k *Child) <-chan error {
	answer := make(chan error, 1)
	go func() {
		err := h.waitReady(ctx, k)
		if ctx.Err() == nil {
			answer <- err
		}
	}()
	return answer
}

func (h *Deps) waitReady(ctx context.Context, k *Child) error {
	r := k.Spec.Readiness
	if k.Spec.Kind == processfile.KindOneShot {
		<-ctx.Done() // its end tells
		return ctx.Err()
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.Timeout-k.Uptime(), fmt.Errorf("not ready within %s", r.Timeout))
	defer cancel()
	if r.Notify {
		select {
		case <-k.readySignal:
			return nil
		case <-limited.Done():
			return fmt.Errorf("%w: it never sent READY=1", context.Cause(limited))
		}
	}
	probe := newProbe(r.TCP, r.HTTP, r.Exec, k)
	if probe == nil {
		select {
		case <-time.After(minUptime - k.Uptime()):
			return nil
		case <-limited.Done():
			return context.Cause(limited)
		}
	}
	every := time.NewTicker(probeEvery)
	defer every.Stop()
	var last error // of a probe that was not cut off by the end of the time
	var shown shownProbe
	for {
		asked, done := context.WithTimeoutCause(limited, probeTimeout, fmt.Errorf("no answer within %s", probeTimeout))
		err := probe(asked)
		done()
		if err == nil {
			return nil
		}
		if errors.Is(err, command.ErrClosed) { // this manager ends, and the next one asks again
			<-ctx.Done()
			return ctx.Err()
		}
		if limited.Err() != nil && last != nil {
			return fmt.Errorf("%w: %w", context.Cause(limited), last)
		}
		last = err
		shown.show(k, err)
		select {
		case <-every.C:
		case <-limited.Done():
			return fmt.Errorf("%w: %w", context.Cause(limited), err)
		}
	}
}

// probeShownEvery is the time between two errors of a probe that are shown: those of a program that prints the time all differ.
const probeShownEvery = time.Second

// shownProbe is the last error of a probe that was shown, and when.
type shownProbe struct {
	text string
	at   time.Time
}

// show makes the error of a probe the reason why the child is not ready yet.
func (s *shownProbe) show(k *Child, err error) {
	if text := err.Error(); text != s.text && time.Since(s.at) >= probeShownEvery {
		s.text, s.at = text, time.Now()
		k.deps.Store.Update(k.ID, func(r *state.Record) {
			if r.Process.PID == k.Handle.PID && r.Process.Status == control.Starting {
				r.Process.Reason = "not ready yet: " + text
			}
		})
	}
}

// errWatchdogMissed is the reason for a restart of a process that no longer runs its own loop.
var errWatchdogMissed = errors.New("no WATCHDOG=1")

// errNotAlive is the reason for a restart of a process whose liveness probe failed too often.
var errNotAlive = errors.New("not alive")

// watchLiveness sends an error when a ready child misses its watchdog, or fails its liveness probe.
func (h *Deps) watchLiveness(ctx context.Context, k *Child) <-chan error {
	answer := make(chan error, 2)
	if k.Spec.Watchdog > 0 {
		go func() {
			timer := time.NewTimer(k.Spec.Watchdog)
			defer timer.Stop()
			for {
				select {
				case <-k.watchdogSignal:
					timer.Reset(k.Spec.Watchdog)
				case <-timer.C:
					answer <- fmt.Errorf("%w within %s", errWatchdogMissed, k.Spec.Watchdog)
					return
				case <-ctx.Done():
					return
				case <-k.exit.Done:
					return
				}
			}
		}()
	}
	if probe := newProbe(k.Spec.Liveness.TCP, k.Spec.Liveness.HTTP, k.Spec.Liveness.Exec, k); probe != nil {
		go func() {
			if err := h.probeLiveness(ctx, k, probe); err != nil && ctx.Err() == nil {
				answer <- err
			}
		}()
	}
	return answer
}

// probeLiveness probes a child until ctx ends. It returns the last error when too many probes in a row have failed.
func (h *Deps) probeLiveness(ctx context.Context, k *Child, probe func(context.Context) error) error {
	live := k.Spec.Liveness
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
		asked, done := context.WithTimeoutCause(ctx, live.Timeout, fmt.Errorf("no answer within %s", live.Timeout))
		err := probe(asked)
		done()
		if errors.Is(err, command.ErrClosed) { // this manager ends, and the next one asks again
			return nil
		}
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures >= live.Failures {
			return fmt.Errorf("%w, asked %d times: %w", errNotAlive, failures, err)
		}
	}
}

// newProbe returns the probe of a configuration, or nil if it has none.
func newProbe(tcp, url string, words []string, k *Child) func(context.Context) error {
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
	case len(words) > 0:
		return func(ctx context.Context) error { return k.runCommand(ctx, words) }
	default:
		return nil
	}
}

// runCommand runs a command as the child runs, without its sockets.
func (k *Child) runCommand(ctx context.Context, words []string) error {
	env := command.MergeEnv(k.deps.Env, k.Spec)
	program, err := command.FindCommand(words[0], env)
	if err != nil {
		return err
	}
	output := &command.Output{}
	run := command.Run{Process: k.Spec, Program: program, Args: words[1:], Dir: k.Dir(), Env: command.ListEnv(env)}
	if err = k.deps.Runner.Run(ctx, run, output, output); err == nil {
		return nil
	}
	said := strings.TrimSpace(string(output.Bytes()))
	if len(said) > 200 {
		said = said[len(said)-200:]
	}
	if said != "" {
		return fmt.Errorf("%s: %w: %s", words[0], err, said)
	}
	return fmt.Errorf("%s: %w", words[0], err)
}
