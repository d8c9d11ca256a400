package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgo/pkg/event"
	"pgo/pkg/testing/testkit"
	"pgo/services/task/view/viewtest"
)

// awaitEvents waits until so many different events are known.
func (env *testEnv) awaitEvents(t testing.TB, n int) {
	t.Helper()
	testkit.Eventually(t, "all events", func() error {
		var known int
		if err := env.db.QueryRow("SELECT COUNT(*) FROM pgo_inbox").Scan(&known); err != nil {
			return err
		}
		if known < n {
			return fmt.Errorf("%d of %d are known", known, n)
		}
		return nil
	})
}

// TestViewConvergesToSchool delivers the events of a fake School through a real broker, out of order and more than once,
// to instances that are restarted and whose connections are cut.
func TestViewConvergesToSchool(t *testing.T) {
	t.Parallel()
	for range 2 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			env := newTestEnv(t)
			school, random := viewtest.New(t, seed), rand.New(rand.NewPCG(seed, 3))
			var late []event.Event
			told := 0
			s, other := env.Start(t), env.Start(t)
			for round := range 8 {
				for range 40 {
					school.MakeRandomChange()
				}
				events := school.TakeEvents()
				told += len(events)
				for _, e := range events {
					if random.IntN(5) == 0 {
						events = append(events, e)
					}
				}
				events = append(events, late...)
				random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
				late = events[:len(events)/4]
				env.Deliver(t, events[len(events)/4:]...)
				switch round % 4 {
				case 0:
					s.Stop()
					s = env.Start(t)
				case 1:
					env.BrokerLink.Cut()
					env.BrokerLink.Restore()
				case 2:
					env.KillConnections(t)
				case 3:
					other.Stop()
					other = env.Start(t)
				}
			}
			env.Deliver(t, late...)
			env.awaitEvents(t, told)
			if diff, err := school.FindDifferences(env.db); err != nil || diff != "" {
				t.Errorf("seed %d: %v, the view differs:\n%s", seed, err, diff)
			}
			if dead := env.deadLetters(t); len(dead) > 0 {
				t.Errorf("dead letters: %v", dead)
			}
		})
	}
}

// deadLetters returns the lines of the command that lists dead letters.
func (env *testEnv) deadLetters(t testing.TB) []string {
	t.Helper()
	code, stdout, stderr := env.RunCommand(t, "events", "dead", "list")
	if code != 0 {
		t.Fatalf("ends with %d: %s", code, stderr)
	}
	all := strings.Split(strings.TrimSpace(stdout), "\n")
	return all[1:] // the first is the header, or the message that there are none
}
