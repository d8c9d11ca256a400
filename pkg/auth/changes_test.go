package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
)

// The tests of this file run on a fake clock: no network is between the issuer and its followers.

// bubble is an issuer's list that runs, and what follows it.
type bubble struct {
	source *lateSource
	list   *auth.RevocationList
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newBubble(t *testing.T) *bubble {
	t.Helper()
	b := &bubble{source: &lateSource{fakeSource: &fakeSource{ended: map[string]time.Time{}}}}
	b.ctx, b.cancel = context.WithCancel(t.Context())
	b.list = auth.NewRevocationList(b.source, 15*time.Minute, prometheus.NewRegistry(), zap.NewNop())
	b.run(b.list)
	synctest.Wait()
	return b
}

func (b *bubble) run(list *auth.RevocationList) { b.wg.Go(func() { _ = list.Run(b.ctx) }) }

func (b *bubble) close() {
	b.cancel()
	b.wg.Wait()
}

// end ends a session now.
func (b *bubble) end(id string) { b.source.end(id, time.Now()) }

// serve returns a client of the list's handler, and the number of requests so far.
func serve(list *auth.RevocationList) (*http.Client, *atomic.Int64) {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.GET(auth.EndedSessionsPath, httpx.Handle(auth.ServeEndedSessions(list)))
	var requests atomic.Int64
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		requests.Add(1)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return w.Result(), nil
	})}, &requests
}

func TestChangesWaitForAnEndedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.close()
		position := b.list.Position()
		ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
		defer cancel()
		began := time.Now()
		time.AfterFunc(10*time.Second, func() { b.end("s1") })
		ids, _, next, err := b.list.Changes(ctx, position)
		if took := time.Since(began); !slices.Equal(ids, []string{"s1"}) || err != nil || took < 10*time.Second || took > 10*time.Second+500*time.Millisecond {
			t.Errorf("%v, %v after %v", ids, err, took)
		}
		// The same position again is answered at once, the next one waits.
		if ids, _, _, err := b.list.Changes(ctx, position); !slices.Equal(ids, []string{"s1"}) || err != nil {
			t.Errorf("again: %v, %v", ids, err)
		}
		short, cancel := context.WithTimeout(b.ctx, 3*time.Second)
		defer cancel()
		began = time.Now()
		if ids, now, again, err := b.list.Changes(short, next); len(ids) > 0 || now.IsZero() || again != next || err != nil || time.Since(began) != 3*time.Second {
			t.Errorf("without an ended session: %v, %v, %s, %v after %v", ids, now, again, err, time.Since(began))
		}
		// A session that this process ended itself is known at once.
		b.list.Add("own", "s1")
		if ids, _, _, err := b.list.Changes(ctx, next); !slices.Equal(ids, []string{"own"}) || err != nil {
			t.Errorf("its own: %v, %v", ids, err)
		}
	})
}

func TestChangesRejectsUnknownPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.close()
		old := b.list.Position()
		other := newBubble(t)
		defer other.close()
		b.end("s1")
		time.Sleep(time.Second)
		known := b.list.Position()
		time.Sleep(time.Hour) // its tokens have expired, so it is forgotten
		for name, position := range map[string]string{"none": "", "another list's": other.list.Position(), "forgotten": old, "of the future": known + "0", "text": strings.Split(old, ".")[0] + ".x"} {
			if ids, _, _, err := b.list.Changes(b.ctx, position); !errors.Is(err, auth.ErrUnknownPosition) {
				t.Errorf("%s: %v, %v", name, ids, err)
			}
		}
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		defer cancel()
		if _, _, _, err := b.list.Changes(ctx, known); err != nil {
			t.Errorf("a position after what is forgotten: %v", err)
		}
	})
}

func TestChangesOfAListThatCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.close()
		b.source.mu.Lock()
		b.source.down = true
		b.source.mu.Unlock()
		time.Sleep(10 * time.Second)
		if _, _, _, err := b.list.Changes(b.ctx, b.list.Position()); err == nil {
			t.Error("a list that is old looks like one without ended sessions")
		}
	})
}

// A program that drains holds no request.
func TestNoOneWaitsForAListThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		began := time.Now()
		time.AfterFunc(time.Second, b.cancel)
		if ids, _, _, err := b.list.Changes(t.Context(), b.list.Position()); len(ids) > 0 || err != nil || time.Since(began) != time.Second {
			t.Errorf("%v, %v after %v", ids, err, time.Since(began))
		}
		if _, _, _, err := b.list.Changes(t.Context(), b.list.Position()); err != nil || time.Since(began) != time.Second {
			t.Errorf("afterwards: %v after %v", err, time.Since(began))
		}
		b.list.Add("late")
		b.close()
	})
}

// A follower asks seldom and still knows each ended session within a second.
func TestFollowerWaitsAtTheIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.close()
		c, requests := serve(b.list)
		f := auth.NewRevocationList(auth.NewRemoteSource("http://user"+auth.EndedSessionsPath, c), 15*time.Minute, prometheus.NewRegistry(), zap.NewNop())
		b.run(f)
		time.Sleep(time.Minute)
		if got := requests.Load(); got > 30 {
			t.Errorf("%d requests in a minute without an ended session", got)
		}
		if err := errors.Join(f.HasSynced(b.ctx), f.IsFresh(b.ctx)); err != nil {
			t.Error(err)
		}
		for i := range 40 {
			id := "s" + strings.Repeat("x", i)
			time.Sleep(time.Duration(i) * 137 * time.Millisecond) // at every moment of a request that waits
			b.end(id)
			time.Sleep(time.Second)
			if !f.IsRevoked(id) {
				t.Fatalf("session %d is not known after a second", i)
			}
		}
		// The issuer is replaced: its successor knows no position of it.
		b.cancel()
		b.wg.Wait()
	})
}

// An issuer of the release before has no positions and refuses the parameter.
func TestFollowerOfAnIssuerWithoutPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		defer b.close()
		var requests, refused atomic.Int64
		var waits atomic.Bool
		current, _ := serve(b.list)
		old := roundTrip(func(r *http.Request) (*http.Response, error) {
			if waits.Load() {
				return current.Transport.RoundTrip(r)
			}
			requests.Add(1)
			w := httptest.NewRecorder()
			if r.URL.Query().Has("after") {
				refused.Add(1)
				w.WriteHeader(http.StatusUnprocessableEntity)
				return w.Result(), nil
			}
			ids, now, err := b.source.EndedSince(r.Context(), time.Time{})
			if err != nil {
				return nil, err
			}
			_, _ = w.WriteString(`{"now":"` + now.UTC().Format(time.RFC3339Nano) + `","ids":["` + strings.Join(append(ids, "x"), `","`) + `"]}`)
			return w.Result(), nil
		})
		f := auth.NewRevocationList(auth.NewRemoteSource("http://user"+auth.EndedSessionsPath, &http.Client{Transport: old}), 15*time.Minute, prometheus.NewRegistry(), zap.NewNop())
		b.run(f)
		knows := func(when, id string) {
			t.Helper()
			b.end(id)
			time.Sleep(time.Second)
			if !f.IsRevoked(id) {
				t.Errorf("%s: not known after a second", when)
			}
		}
		knows("an issuer without positions", "s1")
		waits.Store(true)
		time.Sleep(5 * time.Second)
		knows("a new release of it", "s2")
		waits.Store(false) // rolled back
		time.Sleep(5 * time.Second)
		knows("rolled back", "s3")
		if requests.Load() < 20 || refused.Load() > 1 {
			t.Errorf("%d requests, of which %d were refused", requests.Load(), refused.Load())
		}
	})
}
