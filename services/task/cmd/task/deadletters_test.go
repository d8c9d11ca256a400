package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgo/pkg/event"
	"pgo/pkg/testing/testkit"
	"pgo/services/task/events"
)

// TestDeadLetters has two dead letters: an event that cannot be decoded, and one that failed for a reason that no longer
// exists. Neither delays other events. Replaying the second has its effect, and the first is dropped.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	created := func(name string) event.Event {
		id := uuid.Must(uuid.NewV7()).String()
		data := map[string]string{"id": id, "name": name, "email": "x@example.org", "role": "user", "status": "active"}
		e, err := event.New(t.Context(), "user", "user.created.v1", id, 1, data)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	known := func(e event.Event, name string) {
		t.Helper()
		testkit.Eventually(t, name+" is known", func() error {
			var got string
			if err := s.DB.QueryRow("SELECT name FROM people WHERE id = ?", e.Subject).Scan(&got); err != nil {
				return err
			}
			if got != name {
				return errors.New(got)
			}
			return nil
		})
	}
	dead := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := env.RunCommand(t, append([]string{"events", "dead"}, args...)...)
		if code != 0 {
			t.Fatalf("%v ends with %d: %s", args, code, stderr)
		}
		return stdout
	}
	listed := func(ids ...string) {
		t.Helper()
		testkit.Eventually(t, "the dead letters", func() error {
			var letters []struct{ ID, Queue string }
			if err := json.Unmarshal([]byte(dead("list", "--json")), &letters); err != nil {
				return err
			}
			found := 0
			for _, l := range letters {
				for _, id := range ids {
					if l.ID == id && l.Queue == events.Queue {
						found++
					}
				}
			}
			if found != len(ids) || len(letters) != len(ids) {
				return fmt.Errorf("there are %v", letters)
			}
			return nil
		})
	}
	bad := env.Publish(t, "user", "user.created.v1", uuid.NewString(), 1, "no person")
	lost, next := created("Ada"), created("Bob")
	env.DeadLetter(t, events.Queue, "the database was unavailable", lost)
	env.Deliver(t, next)
	known(next, "Bob")
	listed(bad.ID, lost.ID)
	if table := dead("list"); !strings.Contains(table, "the database was unavailable") || strings.Contains(table, "example.org") {
		t.Errorf("listed as\n%s", table)
	}
	dead("replay", lost.ID)
	known(lost, "Ada")
	listed(bad.ID)
	dead("drop", bad.ID)
	listed()
}
