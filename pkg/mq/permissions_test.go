package mq_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

// account makes an account with the rights of a service named school.
func account(t *testing.T, b testkit.Broker, name, password string) {
	t.Helper()
	if err := b.Manage("PUT", "/api/users/"+name, map[string]any{"password": password, "tags": ""}, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Manage("DELETE", "/api/users/"+name, nil, nil) })
	rights := map[string]any{"configure": "", "write": `^pgo\.(events|retry\..*|dead)$`, "read": `^school\.`}
	if err := b.Manage("PUT", "/api/permissions/"+b.Vhost+"/"+name, rights, nil); err != nil {
		t.Fatal(err)
	}
}

func containsFold(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}

// A service's own account is enough for everything but Declare.
func TestLeastPrivilege(t *testing.T) {
	broker := testkit.NewBroker(t)
	declare(t, config(broker))
	cfg := config(broker)
	cfg.Username, cfg.Password = "svc-"+broker.Vhost, "secret"
	account(t, broker, cfg.Username, cfg.Password)

	c := connect(t, cfg)
	connected(t, c)
	var got record
	consume(t, c, mq.Consumer{Queue: queue, Handler: func(ctx context.Context, d mq.Delivery) error {
		if d.Event.Subject == "bad" {
			return errors.New("no")
		}
		return got.handle(ctx, d)
	}})
	good, m1 := user(t, "good", 1)
	bad, m2 := user(t, "bad", 1)
	publish(t, c, m2, m1)
	got.has(t, good.ID)
	dead := take(t, channel(t, broker), queue+".dead")
	if dead.MessageId != bad.ID || dead.Headers[mq.HeaderAttempt] != int64(3) {
		t.Errorf("dead letter %s with headers %v, want %s after 3 attempts", dead.MessageId, dead.Headers, bad.ID)
	}

	if err := mq.Declare(context.Background(), cfg, mq.Topology{Queues: []mq.Queue{{Name: "school.more", Bindings: []string{"#"}}}}); err == nil {
		t.Error("a service's account must not be able to declare a queue")
	}
	if err := c.Publish(context.Background(), []mq.Publishing{{Exchange: mq.RequeueExchange, RoutingKey: "task.users"}})[0]; !errors.Is(err, mq.ErrUnconfirmed) ||
		!containsFold(err.Error(), "access") {
		t.Errorf("publish to another service's queue: %v, want it refused with the broker's reason", err)
	}
	publish(t, c, m1) // the refusal ended a channel, not the connection
}
