package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgo/pkg/testing/testkit"
)

// TestDeadLetters delivers an event that cannot be decoded: it becomes a dead letter without delaying other events, is
// delivered again when it is replayed, and removed when it is dropped.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	dead := func(want int) (ids []string) {
		t.Helper()
		testkit.Eventually(t, "dead letters", func() error {
			code, stdout, stderr := env.RunCommand(t, "events", "dead", "list", "--json")
			var letters []struct{ ID, Queue, Type string }
			if err := json.Unmarshal([]byte(stdout), &letters); code != 0 || err != nil {
				return fmt.Errorf("ends with %d, %s%s, %w", code, stdout, stderr, err)
			}
			ids = nil
			for _, l := range letters {
				ids = append(ids, l.ID)
			}
			if len(ids) != want {
				return fmt.Errorf("%d of %d: %s", len(ids), want, stdout)
			}
			return nil
		})
		return ids
	}
	owner, p := env.person(t), env.person(t)
	id := s.createSchool(owner)
	s.addMembers(owner, id, "student", p)
	poison := env.Publish(t, "user", "user.updated.v1", p.ID, 1, map[string]any{"id": 5})
	good := env.userEvent(t, "user.updated.v1", p, 2, "Pia")
	env.Deliver(t, good)
	s.awaitHandled(good)
	if got := s.listNames(schools+"/"+id+"/members", owner); !slices.Contains(got, "Pia") {
		t.Errorf("got %v", got)
	}
	if ids := dead(1); ids[0] != poison.ID {
		t.Fatalf("got %v, want %s", ids, poison.ID)
	}
	if code, _, stderr := env.RunCommand(t, "events", "dead", "replay", poison.ID); code != 0 {
		t.Fatalf("replay ends with %d: %s", code, stderr)
	}
	dead(1) // it cannot be read this time either
	if code, _, stderr := env.RunCommand(t, "events", "dead", "drop", "--all"); code != 0 {
		t.Fatalf("drop ends with %d: %s", code, stderr)
	}
	dead(0)
}
