package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgo/pkg/cache"
	"pgo/pkg/problem"
	"pgo/pkg/testing/testkit"
)

func TestHitAndMiss(t *testing.T) {
	c := newCorner(t, nil)
	s := &source{name: "né 🎈", version: 1}
	c.fetch(t, "k", s.load, "né 🎈")
	c.fetch(t, "k", unwanted(t), "né 🎈")
	c.fetch(t, "k", unwanted(t), "né 🎈")
	c.fetch(t, "other", s.load, "né 🎈")
	if diff := cmp.Diff(map[string]int{"hit": 2, "miss": 2}, c.reads(t)); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
	cache.Put(context.Background(), c.Cache, "k", 2, row{"new"})
	c.fetch(t, "k", unwanted(t), "new")
	c.Delete(context.Background(), "k")
	c.fetch(t, "k", unwanted(t), "")
}

func TestEntriesExpire(t *testing.T) {
	const ttl = 100 * time.Second
	c := newCorner(t, func(cfg *cache.Config) { cfg.TTL = ttl })
	s := &source{name: "a", version: 1}
	shortest, longest := ttl*2, time.Duration(0)
	for i := range 200 {
		key := fmt.Sprint(i)
		c.fetch(t, key, s.load, "a")
		d := c.life(t, key)
		shortest, longest = min(shortest, d), max(longest, d)
	}
	if shortest < ttl*85/100 || longest > ttl*110/100 {
		t.Errorf("entries live from %v to %v, want around %v", shortest, longest, ttl)
	}
	if longest-shortest < ttl/20 {
		t.Errorf("200 entries end within %v of each other", longest-shortest)
	}
	none := &source{err: fmt.Errorf("read: %w", problem.NotFound())}
	c.fetch(t, "none", none.load, "")
	if d := c.life(t, "none"); d <= 0 || d > 6*time.Second {
		t.Errorf("that nothing is there is remembered for %v", d)
	}
	short := on(t, c.server, func(cfg *cache.Config) { cfg.TTL = time.Second })
	short.fetch(t, "none, short", none.load, "")
	if d := c.life(t, "none, short"); d <= 0 || d > 1100*time.Millisecond {
		t.Errorf("with a TTL of 1s that nothing is there is remembered for %v", d)
	}
}

func TestMissingRowsAreRemembered(t *testing.T) {
	c := newCorner(t, nil)
	s := &source{err: fmt.Errorf("read: %w", problem.NotFound())}
	c.fetch(t, "k", s.load, "")
	c.fetch(t, "k", unwanted(t), "")
	cache.Put(context.Background(), c.Cache, "k", 1, row{"made"})
	c.fetch(t, "k", unwanted(t), "made")

	boom := errors.New("boom")
	failing := &source{err: boom}
	for range 2 {
		if _, err := cache.Fetch(context.Background(), c.Cache, "failing", failing.load); !errors.Is(err, boom) {
			t.Errorf("got %v", err)
		}
	}
	if n := failing.loads.Load(); n != 2 {
		t.Errorf("%d loads: an error was remembered", n)
	}
}

func TestDeleteHoldsForEveryType(t *testing.T) {
	c, ctx := newCorner(t, nil), context.Background()
	check := func(name string, err error) {
		if !errors.Is(err, problem.NotFound()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Delete(ctx, "k")
	loads := 0
	_, err := cache.Fetch(ctx, c.Cache, "k", func(context.Context) (string, int64, error) { loads++; return "", 0, nil })
	check("string", err)
	_, err = cache.Fetch(ctx, c.Cache, "k", func(context.Context) ([]int, int64, error) { loads++; return nil, 0, nil })
	check("list", err)
	_, err = cache.Fetch(ctx, c.Cache, "k", func(context.Context) (*row, int64, error) { loads++; return nil, 0, nil })
	check("pointer", err)
	_, err = cache.Fetch(ctx, c.Cache, "k", func(context.Context) (error, int64, error) { loads++; return nil, 0, nil })
	if err != nil && !errors.Is(err, problem.NotFound()) {
		t.Errorf("interface: %v", err)
	}
	if loads > 1 { // what is an interface cannot be read from JSON
		t.Errorf("%d loads", loads)
	}
}

func TestConcurrentReadersShareALoad(t *testing.T) {
	c := newCorner(t, nil)
	var loads atomic.Int32
	var readers sync.WaitGroup
	for range 50 {
		readers.Go(func() {
			c.fetch(t, "k", func(context.Context) (row, int64, error) {
				loads.Add(1)
				// Until all have found nothing in Redis. A load that ends its goroutine would leave the readers waiting for ever, so
				// what ends a test has no place here.
				for until := time.Now().Add(30 * time.Second); ; {
					found, err := c.counts()
					time.Sleep(20 * time.Millisecond) // for the last of them to come to the load
					if found["miss"] >= 50 {
						return row{"a"}, 1, nil
					}
					if time.Now().After(until) {
						t.Errorf("of 50 readers %d have found nothing in Redis, %v", found["miss"], err)
						return row{"a"}, 1, nil
					}
				}
			}, "a")
		})
	}
	readers.Wait()
	if n := loads.Load(); n > 2 { // a second one where a reader was held up between Redis and the load
		t.Errorf("%d loads for 50 readers", n)
	}
}

// TestSlowReaderDoesNotRestoreAnOldRow has a reader load a row before a change, and come to store it after the change.
func TestSlowReaderDoesNotRestoreAnOldRow(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name   string
		change func(c corner)
		slow   error // what the slow reader's load returns
		want   string
	}{
		{"changed", func(c corner) { cache.Put(ctx, c.Cache, "k", 2, row{"new"}) }, nil, "new"},
		{"deleted", func(c corner) { c.Delete(ctx, "k") }, nil, ""},
		{"created", func(c corner) { cache.Put(ctx, c.Cache, "k", 1, row{"new"}) }, problem.NotFound(), "new"},
		{"deleted after it was changed", func(c corner) { cache.Put(ctx, c.Cache, "k", 2, row{"new"}); c.Delete(ctx, "k") }, nil, ""},
		{"changed late after it was deleted", func(c corner) { c.Delete(ctx, "k"); cache.Put(ctx, c.Cache, "k", 2, row{"new"}) }, nil, ""},
	} {
		for _, by := range []string{"this program", "another"} {
			t.Run(tc.name+" by "+by, func(t *testing.T) {
				c := newCorner(t, nil)
				changer := c
				if by == "another" {
					changer = on(t, c.server, nil)
				}
				inside, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
				go func() {
					defer close(done)
					want := "old"
					if tc.slow != nil {
						want = ""
					}
					c.fetch(t, "k", func(context.Context) (row, int64, error) {
						close(inside)
						<-release
						return row{"old"}, 1, tc.slow
					}, want)
				}()
				<-inside
				tc.change(changer)
				c.fetch(t, "k", unwanted(t), tc.want) // it does not wait for the old load either
				close(release)
				<-done
				c.fetch(t, "k", unwanted(t), tc.want)
			})
		}
	}
}

func TestSlowLoadIsNotStored(t *testing.T) {
	c := newCorner(t, func(cfg *cache.Config) { cfg.TTL = time.Second })
	s := &source{name: "a", version: 1}
	c.fetch(t, "k", func(ctx context.Context) (row, int64, error) {
		<-time.After(600 * time.Millisecond)
		return s.load(ctx)
	}, "a")
	c.fetch(t, "k", s.load, "a")
	if n := s.loads.Load(); n != 2 {
		t.Errorf("%d loads", n)
	}
}

func TestGarbageIsAMiss(t *testing.T) {
	ctx := context.Background()
	for name, put := range map[string][]any{
		"a string":           {"SET", "x"},
		"a list":             {"RPUSH", "x"},
		"no entry":           {"HSET", "other", "1"},
		"no version":         {"HSET", "e", "x"},
		"not JSON":           {"HSET", "v", "1", "e", "{"},
		"not a version":      {"HSET", "v", "one", "e", `{"value":{"name":"old"}`},
		"another type":       {"HSET", "v", "1", "e", `{"value":[1]}`},
		"an empty version":   {"HSET", "v", "", "e", "x"},
		"binary":             {"HSET", "v", "\xff\x00", "e", "\xff\x00"},
		"an infinite number": {"HSET", "v", "-inf", "e", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCorner(t, nil)
			args := append([]any{put[0], c.server.Prefix + "k"}, put[1:]...)
			if err := c.redis.Do(ctx, args...).Err(); err != nil {
				t.Fatal(err)
			}
			c.fetch(t, "k", (&source{name: "a", version: 3}).load, "a")
			c.fetch(t, "k", unwanted(t), "a")
			if diff := cmp.Diff(map[string]int{"hit": 1, "miss": 1}, c.reads(t)); diff != "" {
				t.Errorf("reads (-want +got):\n%s", diff)
			}
			if c.logs.Len() != 0 {
				t.Errorf("log: %v", c.logs.All())
			}
			if d := c.life(t, "k"); d <= 0 {
				t.Errorf("lives %v", d)
			}
		})
	}
}

func TestLoadGoesOnWhenItsReaderLeaves(t *testing.T) {
	c := newCorner(t, nil)
	inside, release := make(chan struct{}), make(chan struct{})
	load := func(ctx context.Context) (row, int64, error) {
		close(inside)
		select {
		case <-release:
			return row{"a"}, 1, nil
		case <-ctx.Done():
			return row{}, 0, ctx.Err()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() { _, err := cache.Fetch(ctx, c.Cache, "k", load); first <- err }()
	<-inside
	second := make(chan struct{})
	go func() {
		defer close(second)
		// It joins the first one's load, unless it is held up until that is over.
		c.fetch(t, "k", func(context.Context) (row, int64, error) { return row{"a"}, 1, nil }, "a")
	}()
	testkit.Eventually(t, "both have found nothing in Redis", func() error {
		if n := c.reads(t)["miss"]; n < 2 {
			return fmt.Errorf("%d have", n)
		}
		return nil
	})
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(release)
	<-second
	if _, err := cache.Fetch(ctx, c.Cache, "gone", unwanted(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("who had left before got %v", err)
	}
	c.fetch(t, "k", unwanted(t), "a")
	if n := c.reads(t)["hit"]; n == 0 {
		t.Errorf("a reader that leaves makes Redis count as down: %v", c.reads(t))
	}
}

func TestPanicInALoadIsAnError(t *testing.T) {
	c := newCorner(t, nil)
	_, err := cache.Fetch(context.Background(), c.Cache, "k", func(context.Context) (row, int64, error) { panic("boom") })
	if err == nil || !strings.Contains(err.Error(), "boom") || !strings.Contains(err.Error(), "cache_test.go") {
		t.Errorf("got %v", err)
	}
	c.fetch(t, "k", (&source{name: "a", version: 1}).load, "a")
}
