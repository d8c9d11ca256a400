package mq_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

func TestDeclareAgain(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	c := connect(t, cfg)
	connected(t, c)
	e, message := user(t, "u1", 1)
	publish(t, c, message)

	// Another service, and one more binding of a queue that is there.
	more := []mq.Topology{
		{Queues: []mq.Queue{{Name: queue, Bindings: []string{"school.*.v1"}}}},
		{Queues: []mq.Queue{{Name: "task.view", Bindings: []string{"user.#", "class.#"}}, {Name: queue, Bindings: []string{"user.*.v1"}}}},
		{},
	}
	for range 2 {
		if err := mq.Declare(context.Background(), cfg, more...); err != nil {
			t.Fatal(err)
		}
	}
	var got record
	consume(t, c, mq.Consumer{Queue: queue, Handler: got.handle})
	_, message = user(t, "u1", 2)
	message.RoutingKey = "school.created.v1"
	publish(t, c, message)
	got.has(t, e.ID, message.MessageID)
}

func TestDeclareMismatch(t *testing.T) {
	broker := testkit.NewBroker(t)
	if _, err := channel(t, broker).QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	err := mq.Declare(context.Background(), config(broker), mq.Topology{Queues: []mq.Queue{{Name: queue, Bindings: []string{"#"}}}})
	var mismatch *mq.DeclareError
	if !errors.As(err, &mismatch) || mismatch.Kind != "queue" || mismatch.Name != queue {
		t.Fatalf("error is %v, want a DeclareError for queue %s", err, queue)
	}
	for _, part := range []string{queue, "inequivalent arg", "but current is"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestDeclareRejectsInvalidTopologies(t *testing.T) {
	for name, q := range map[string]mq.Queue{
		"no name":          {Name: "", Bindings: []string{"#"}},
		"no service":       {Name: "events", Bindings: []string{"#"}},
		"reserved":         {Name: "pgo.retry.1s", Bindings: []string{"#"}},
		"the broker's":     {Name: "amq.gen", Bindings: []string{"#"}},
		"a dead letter's":  {Name: "school.users.dead", Bindings: []string{"#"}},
		"too long":         {Name: "school." + strings.Repeat("x", 200), Bindings: []string{"#"}},
		"no bindings":      {Name: "school.users"},
		"an empty binding": {Name: "school.users", Bindings: []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			// Refused before anything is connected to.
			err := mq.Declare(context.Background(), mq.Config{Addr: "127.0.0.1:1"}, mq.Topology{Queues: []mq.Queue{q}})
			if err == nil || !strings.HasPrefix(err.Error(), "queue ") {
				t.Errorf("error is %v, want one about the queue", err)
			}
		})
	}
}

func TestDeclareWithoutBroker(t *testing.T) {
	broker := testkit.NewBroker(t)
	link := testkit.NewLink(t, broker.Addr)
	link.Cut()
	cfg := config(broker)
	cfg.Addr = link.Addr()
	if err := mq.Declare(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), link.Addr()) {
		t.Errorf("error is %v, want one that names the address", err)
	}
	if strings.Contains(mq.Declare(context.Background(), cfg).Error(), cfg.Password) {
		t.Error("the password is in the error")
	}
}

func TestTopologyAsJSON(t *testing.T) {
	want := mq.Topology{Queues: []mq.Queue{{Name: "school.users", Bindings: []string{"user.*.v1"}}}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != `{"queues":[{"name":"school.users","bindings":["user.*.v1"]}]}` {
		t.Errorf("JSON is %s", b)
	}
	var got mq.Topology
	if err := json.Unmarshal(b, &got); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("back from JSON: %+v, %v", got, err)
	}
}

// The default delays make the names that services' accounts may write to and that people see.
func TestRetryNames(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	cfg.RetryDelays = append([]time.Duration{time.Hour, 90 * time.Minute}, 1500*time.Millisecond)
	if err := mq.Declare(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	cfg.RetryDelays = nil
	if err := mq.Declare(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	ch := channel(t, broker)
	for _, name := range []string{"1h", "1h30m", "1.5s", "1s", "10s", "1m", "10m"} {
		if _, err := ch.QueueDeclarePassive("pgo.retry."+name, true, false, false, false, nil); err != nil {
			t.Fatalf("queue pgo.retry.%s: %v", name, err)
		}
	}
}
