package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
	"pgo/services/task/events"
	"pgo/services/task/store"
)

// TestPoisonMessage delivers an event that cannot be stored and one that cannot be decoded: the events after them are handled
// at once, both become dead letters, the first after all its attempts, and it is replayed after the cause is removed.
func TestPoisonMessage(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	// The service's own delays, of ten minutes in all, are too long for a test. Only the delays differ.
	broker := mq.Config{Addr: env.Broker.Addr, Vhost: env.Broker.Vhost, Username: env.Broker.Username, Password: env.Broker.Password, RetryDelays: []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond}}
	if err := mq.Declare(t.Context(), broker, events.Topology()); err != nil {
		t.Fatal(err)
	}
	poisonous, victim := newID(), newID()
	if _, err := env.db.Exec("CREATE TRIGGER poison BEFORE INSERT ON view_class_members FOR EACH ROW IF NEW.user_id = '" + poisonous + "' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this one never'; END IF"); err != nil {
		t.Fatal(err)
	}
	var served error
	done := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		served = withStore(env.Environ, func(s *store.Store) error {
			conn := mq.Connect(broker, zap.NewNop())
			return errors.Join(conn.Consume(ctx, events.NewConsumer(s)), conn.Close(context.Background()))
		})
	}()
	t.Cleanup(func() {
		stop()
		if <-done; served != nil {
			t.Error(served)
		}
	})
	c := env.createClass(t)
	c.publishMember(t, "class.member_added.v1", poisonous, "student")
	env.Publish(t, "school", "class.member_added.v1", c.ID, 90, map[string]any{"class_id": c.ID, "role": []int{1}})
	c.publishMember(t, "class.member_added.v1", victim, "student")
	is := func(user string) error {
		var n int
		err := env.db.QueryRow("SELECT COUNT(*) FROM view_class_members WHERE user_id = ?", user).Scan(&n)
		if err == nil && n == 0 {
			err = errors.New("not there")
		}
		return err
	}
	testkit.Eventually(t, "the following event", func() error { return is(victim) })
	var dead []string
	testkit.Eventually(t, "dead letters", func() error {
		if dead = env.deadLetters(t); len(dead) != 2 {
			return fmt.Errorf("there are %v", dead)
		}
		return nil
	})
	for _, want := range []string{" 4 ", " 1 "} { // attempts: all, and the first for what no retry mends
		if !slices.ContainsFunc(dead, func(line string) bool { return strings.Contains(line, want) }) {
			t.Errorf("nothing with%sattempts in %v", want, dead)
		}
	}
	if err := is(poisonous); err == nil {
		t.Error("what failed had an effect")
	}
	if _, err := env.db.Exec("DROP TRIGGER poison"); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := env.RunCommand(t, "events", "dead", "replay", "--all"); code != 0 || strings.Count(stdout, "\n") != 2 {
		t.Fatalf("ends with %d, %q, %q", code, stdout, stderr)
	}
	testkit.Eventually(t, "the replayed event", func() error { return is(poisonous) })
	testkit.Eventually(t, "the dead letters", func() error {
		if dead = env.deadLetters(t); len(dead) != 1 {
			return fmt.Errorf("there are %v", dead)
		}
		return nil
	})
	if code, _, stderr := env.RunCommand(t, "events", "dead", "drop", "--all"); code != 0 {
		t.Errorf("ends with %d, %q", code, stderr)
	}
	if dead = env.deadLetters(t); len(dead) != 0 {
		t.Errorf("there are %v", dead)
	}
}
