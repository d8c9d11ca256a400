package mq_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

// operator works with the account of a service, as the command line does.
func operator(t *testing.T, b testkit.Broker) mq.Config {
	t.Helper()
	cfg := config(b)
	cfg.Username, cfg.Password = "svc-"+b.Vhost, "secret"
	account(t, b, cfg.Username, cfg.Password)
	return cfg
}

func every(mq.DeadLetter) bool { return true }

func withID(ids ...string) func(mq.DeadLetter) bool {
	return func(l mq.DeadLetter) bool { return slices.Contains(ids, l.ID) }
}

func ids(letters []mq.DeadLetter) []string {
	all := []string{}
	for _, l := range letters {
		all = append(all, l.ID)
	}
	slices.Sort(all)
	return all
}

// listed waits until exactly these are the dead letters.
func listed(t *testing.T, cfg mq.Config, want ...string) []mq.DeadLetter {
	t.Helper()
	slices.Sort(want)
	var letters []mq.DeadLetter
	testkit.Eventually(t, "dead letters", func() error {
		var err error
		if letters, err = mq.ListDeadLetters(t.Context(), cfg, queue); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]string{}, want...), ids(letters)); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
	return letters
}

// kill puts messages among the dead letters with a reason, as a consumer does, and returns their ids.
func kill(t *testing.T, b testkit.Broker, n int) (all []string) {
	t.Helper()
	c := connect(t, config(b))
	connected(t, c)
	var batch []mq.Publishing
	for i := range n {
		e, m := user(t, fmt.Sprintf("u%d", i), 1)
		m.Exchange, m.RoutingKey, m.Mandatory = mq.DeadExchange, queue, true
		m.Headers = map[string]any{mq.HeaderReason: "broken", mq.HeaderAttempt: int64(3)}
		batch, all = append(batch, m), append(all, e.ID)
	}
	publish(t, c, batch...)
	return all
}

func TestDeadLettersAreListedReplayedAndDropped(t *testing.T) {
	broker := testkit.NewBroker(t)
	declare(t, config(broker))
	cfg := operator(t, broker)
	c := connect(t, cfg)
	connected(t, c)
	var mended sync.Map // subjects that can be handled now
	var got record
	consume(t, c, mq.Consumer{Queue: queue, Handler: func(ctx context.Context, d mq.Delivery) error {
		if _, ok := mended.Load(d.Event.Subject); !ok && strings.HasPrefix(d.Event.Subject, "poison") {
			return errors.New("no such class\n\x1b[31m")
		}
		return got.handle(ctx, d)
	}})
	first, m1 := user(t, "poison1", 7)
	second, m2 := user(t, "poison2", 1)
	third, m3 := user(t, "poison3", 1)
	sound, m4 := user(t, "u1", 1)
	listed(t, cfg)
	began := time.Now().Add(-time.Second)
	publish(t, c, m1, m2, m3, m4)
	got.has(t, sound.ID) // the poison before it is not in its way
	letters := listed(t, cfg, first.ID, second.ID, third.ID)

	l := letters[slices.IndexFunc(letters, func(l mq.DeadLetter) bool { return l.ID == first.ID })]
	if l.ParseErr != nil || l.Event.Type != "user.updated.v1" || l.Event.Subject != "poison1" || l.Event.Sequence != 7 || l.Queue != queue ||
		l.Attempts != 3 || l.Reason != "no such class\n\x1b[31m" || l.Exchange != mq.EventsExchange || l.RoutingKey != "user.updated.v1" ||
		l.FirstFailed.Before(began) || !l.LastFailed.After(l.FirstFailed) || time.Now().Before(l.LastFailed) || l.Body != nil || l.Size != len(m1.Body) {
		t.Errorf("listed as %+v", l)
	}
	shown, err := mq.ReadDeadLetters(t.Context(), cfg, queue, withID(second.ID))
	if err != nil || len(shown) != 1 || string(shown[0].Body) != string(m2.Body) {
		t.Errorf("shown as %+v, %v", shown, err)
	}
	listed(t, cfg, first.ID, second.ID, third.ID) // looking changes nothing

	mended.Store("poison1", true)
	mended.Store("poison2", true)
	replayed, err := mq.ReplayDeadLetters(t.Context(), cfg, queue, withID(first.ID))
	if err != nil || !slices.Equal(ids(replayed), []string{first.ID}) {
		t.Errorf("replayed %v, %v", ids(replayed), err)
	}
	got.has(t, first.ID)
	if got.last.Attempt != 1 || got.last.Queue != queue {
		t.Errorf("replayed as attempt %d in %s", got.last.Attempt, got.last.Queue)
	}
	listed(t, cfg, second.ID, third.ID)

	dropped, err := mq.DropDeadLetters(t.Context(), cfg, queue, withID(third.ID, "nonsense"))
	if err != nil || !slices.Equal(ids(dropped), []string{third.ID}) {
		t.Errorf("dropped %v, %v", ids(dropped), err)
	}
	listed(t, cfg, second.ID)
	if n := got.count(third.ID) + got.count(second.ID); n != 0 {
		t.Errorf("what was not replayed was handled %d times", n)
	}

	// One that still cannot be handled has all its attempts again, then is dead again, with when it first failed.
	fourth, m5 := user(t, "poison4", 1)
	publish(t, c, m5)
	before := listed(t, cfg, second.ID, fourth.ID)
	if _, err := mq.ReplayDeadLetters(t.Context(), cfg, queue, withID(fourth.ID)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the replayed one is dead again", func() error {
		after, err := mq.ReadDeadLetters(t.Context(), cfg, queue, withID(fourth.ID))
		if err != nil || len(after) != 1 {
			return fmt.Errorf("%d letters, %w", len(after), err)
		}
		was := before[slices.IndexFunc(before, func(l mq.DeadLetter) bool { return l.ID == fourth.ID })]
		if after[0].Attempts != 3 || !after[0].FirstFailed.Equal(was.FirstFailed) || !after[0].LastFailed.After(was.LastFailed) {
			t.Errorf("dead again as %+v, before %+v", after[0], was)
		}
		return nil
	})
	if _, err := mq.ReplayDeadLetters(t.Context(), cfg, queue, every); err != nil {
		t.Fatal(err)
	}
	got.has(t, second.ID)
	listed(t, cfg, fourth.ID)
}

// TestInvalidEventsAreListedAndDropped has what an unknown sender published among the dead letters.
func TestInvalidEventsAreListedAndDropped(t *testing.T) {
	broker := testkit.NewBroker(t)
	declare(t, config(broker))
	cfg := operator(t, broker)
	c := connect(t, cfg)
	connected(t, c)
	e, sound := user(t, "u1", 1)
	sound.Exchange, sound.RoutingKey, sound.Mandatory = mq.DeadExchange, queue, true
	bodies := map[string]string{"empty": "", "binary": "\x00\xff", "text": "hello", "JSON": `{"id":"` + e.ID + `"}`}
	batch := []mq.Publishing{sound}
	for _, body := range bodies {
		m := sound // with the event's id as the message's, which must not be taken for it
		m.Body = []byte(body)
		m.Headers = map[string]any{mq.HeaderAttempt: "many", mq.HeaderReason: int64(1), mq.HeaderFirstFailed: "yesterday", "x-death": "none"}
		batch = append(batch, m)
	}
	publish(t, c, batch...)
	var letters []mq.DeadLetter
	testkit.Eventually(t, "all are listed", func() (err error) {
		if letters, err = mq.ListDeadLetters(t.Context(), cfg, queue); err == nil && len(letters) != len(batch) {
			err = fmt.Errorf("%d of %d", len(letters), len(batch))
		}
		return err
	})
	for _, l := range letters {
		switch {
		case l.ID == e.ID && l.ParseErr == nil:
		case l.ID == e.ID || l.ParseErr == nil || !strings.HasPrefix(l.ID, "content-") || l.Attempts != 0 || !l.FirstFailed.IsZero() || l.Reason == "":
			t.Errorf("listed as %+v", l)
		}
	}
	dropped, err := mq.DropDeadLetters(t.Context(), cfg, queue, func(l mq.DeadLetter) bool { return string(l.Body) == bodies["binary"] })
	if err != nil || len(dropped) != 1 {
		t.Fatalf("dropped %v, %v", ids(dropped), err)
	}
	// Replaying one only brings it back, since no handler accepts it.
	var got record
	consume(t, c, mq.Consumer{Queue: queue, Handler: got.handle})
	if replayed, err := mq.ReplayDeadLetters(t.Context(), cfg, queue, every); err != nil || len(replayed) != len(batch)-1 {
		t.Fatalf("replayed %v, %v", ids(replayed), err)
	}
	got.has(t, e.ID)
	testkit.Eventually(t, "what is no event is back", func() error {
		if letters, err = mq.ListDeadLetters(t.Context(), cfg, queue); err != nil || len(letters) != len(batch)-2 {
			return fmt.Errorf("%v, %w", ids(letters), err)
		}
		return nil
	})
	if dropped, err := mq.DropDeadLetters(t.Context(), cfg, queue, every); err != nil || len(dropped) != len(batch)-2 {
		t.Errorf("dropped %v, %v", ids(dropped), err)
	}
	listed(t, cfg)
}

// TestBrokerDeathsHaveAReason has a consumer that died over a message again and again.
func TestBrokerDeathsHaveAReason(t *testing.T) {
	broker := testkit.NewBroker(t)
	declare(t, config(broker))
	cfg := operator(t, broker)
	c := connect(t, cfg)
	connected(t, c)
	e, message := user(t, "u1", 1)
	publish(t, c, message)
	ch := channel(t, broker)
	deliveries, err := ch.Consume(queue, "crashing", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for d := range deliveries {
			_ = d.Nack(false, true)
		}
	}()
	l := listed(t, cfg, e.ID)[0]
	if l.Attempts != 0 || !strings.Contains(l.Reason, "its consumer died") || time.Since(l.LastFailed) > time.Minute || l.RoutingKey != "user.updated.v1" || l.Exchange != mq.EventsExchange {
		t.Errorf("listed as %+v", l)
	}
}

// unlessBusy repeats a call that failed because others were at work for too long, as happens on a busy machine:
// the same again.
func unlessBusy(do func() ([]mq.DeadLetter, error)) (letters []mq.DeadLetter, err error) {
	for until := time.Now().Add(3 * time.Minute); ; {
		if letters, err = do(); !errors.Is(err, mq.ErrDeadLettersBusy) || time.Now().After(until) {
			return letters, err
		}
	}
}

// TestConcurrentOperators look, replay and drop all at once: whoever looks sees all that are there, and each letter is
// replayed once or dropped once.
func TestConcurrentOperators(t *testing.T) {
	broker := testkit.NewBroker(t)
	declare(t, config(broker))
	cfg := operator(t, broker)
	c := connect(t, cfg)
	connected(t, c)
	all := kill(t, broker, 400)
	listed(t, cfg, all...)
	t.Run("looking", func(t *testing.T) {
		var operators sync.WaitGroup
		for range 6 {
			operators.Go(func() {
				letters, err := unlessBusy(func() ([]mq.DeadLetter, error) { return mq.ListDeadLetters(t.Context(), cfg, queue) })
				if err != nil || len(letters) != len(all) {
					t.Errorf("one operator sees %d of %d dead letters, %v", len(letters), len(all), err)
				}
			})
		}
		operators.Wait()
	})
	t.Run("replaying and dropping", func(t *testing.T) {
		var mu sync.Mutex
		replayed, dropped := map[string]int{}, map[string]int{}
		var operators sync.WaitGroup
		for i := range 3 {
			wanted := func(l mq.DeadLetter) bool { return slices.Index(all, l.ID)%2 == i%2 }
			work := func(do func(context.Context, mq.Config, string, func(mq.DeadLetter) bool) ([]mq.DeadLetter, error), into map[string]int) {
				operators.Go(func() {
					letters, err := unlessBusy(func() ([]mq.DeadLetter, error) { return do(t.Context(), cfg, queue, wanted) })
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					for _, l := range letters {
						into[l.ID]++
					}
				})
			}
			work(mq.ReplayDeadLetters, replayed)
			work(mq.DropDeadLetters, dropped)
		}
		operators.Wait()
		for _, id := range all {
			if replayed[id]+dropped[id] != 1 {
				t.Errorf("%s was replayed %d times and dropped %d times", id, replayed[id], dropped[id])
			}
		}
		listed(t, cfg)
		var got record
		consume(t, c, mq.Consumer{Queue: queue, Handler: got.handle})
		for id := range replayed {
			got.has(t, id)
		}
		got.mu.Lock()
		defer got.mu.Unlock()
		for id, times := range got.seen {
			if times != replayed[id] {
				t.Errorf("%s was handled %d times", id, times)
			}
		}
	})
}

// TestInterruptedOperatorLosesNothing ends one at every point it can be at.
func TestInterruptedOperatorLosesNothing(t *testing.T) {
	broker := testkit.NewBroker(t)
	declare(t, config(broker))
	cfg := operator(t, broker)
	all := kill(t, broker, 50)
	listed(t, cfg, all...)
	for name, do := range map[string]func(context.Context, mq.Config, string, func(mq.DeadLetter) bool) ([]mq.DeadLetter, error){
		"show": mq.ReadDeadLetters, "replay": mq.ReplayDeadLetters, "drop": mq.DropDeadLetters,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			seen := 0
			_, err := do(ctx, cfg, queue, func(mq.DeadLetter) bool {
				if seen++; seen == 20 {
					cancel()
				}
				return false
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("ends with %v", err)
			}
			listed(t, cfg, all...)
		})
	}
	t.Run("the connection is cut", func(t *testing.T) {
		link := testkit.NewLink(t, broker.Addr)
		cut := cfg
		cut.Addr = link.Addr()
		_, err := mq.ReplayDeadLetters(t.Context(), cut, queue, func(mq.DeadLetter) bool {
			link.Cut()
			return true
		})
		if !errors.Is(err, mq.ErrNotConnected) {
			t.Errorf("ends with %v", err)
		}
		listed(t, cfg, all...)
	})
}

func TestDeadLetterErrorsNameTheCause(t *testing.T) {
	broker := testkit.NewBroker(t)
	declare(t, config(broker))
	cfg := operator(t, broker)
	down, wrong := cfg, cfg
	down.Addr = "127.0.0.1:1"
	wrong.Password = "wrong"
	for name, tc := range map[string]struct {
		cfg    mq.Config
		queue  string
		is     error
		output string
	}{
		"broker down":       {down, queue, mq.ErrNotConnected, "127.0.0.1:1"},
		"wrong password":    {wrong, queue, mq.ErrNotConnected, "not allowed"},
		"no such queue":     {cfg, "school.nothing", nil, "was its topology declared?"},
		"another service's": {cfg, "task.users", nil, "access"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, do := range []func(context.Context, mq.Config, string, func(mq.DeadLetter) bool) ([]mq.DeadLetter, error){mq.ReadDeadLetters, mq.ReplayDeadLetters, mq.DropDeadLetters} {
				_, err := do(t.Context(), tc.cfg, tc.queue, every)
				if err == nil || !containsFold(err.Error(), tc.output) || errors.Is(err, mq.ErrNotConnected) != (tc.is != nil) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}
