package mq_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

func TestBrokerComesLater(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	link := testkit.NewLink(t, broker.Addr)
	link.Cut()
	cfg.Addr = link.Addr()

	c := connect(t, cfg)
	var got record
	consume(t, c, mq.Consumer{Queue: queue, Handler: got.handle})
	e, message := user(t, "u1", 1)
	for i, err := range c.Publish(context.Background(), []mq.Publishing{message, message}) {
		if !errors.Is(err, mq.ErrNotConnected) {
			t.Errorf("message %d without a broker: %v, want ErrNotConnected", i, err)
		}
	}
	if err := c.Check(context.Background()); !errors.Is(err, mq.ErrNotConnected) {
		t.Errorf("Check is %v, want ErrNotConnected", err)
	}

	link.Restore()
	connected(t, c)
	publish(t, c, message)
	got.has(t, e.ID)
}

func TestAccountComesLater(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	cfg.Username, cfg.Password = "late-"+broker.Vhost, "secret"
	c := connect(t, cfg)
	testkit.Eventually(t, "be refused", func() error {
		err := c.Check(context.Background())
		if err == nil || !containsFold(err.Error(), "username or password") {
			return fmt.Errorf("Check is %w, want it to say that the broker refused the password", err)
		}
		return nil
	})
	account(t, broker, cfg.Username, cfg.Password)
	connected(t, c)
}

// Whatever ends the connections, publishing and consuming go on after it and nothing is lost.
func TestReconnect(t *testing.T) {
	for name, cut := range map[string]func(*testing.T, testkit.Broker, *testkit.Link, *observer.ObservedLogs){
		"TCP is cut": func(_ *testing.T, _ testkit.Broker, l *testkit.Link, _ *observer.ObservedLogs) {
			l.Cut()
			l.Restore()
		},
		"broker closes the publisher": func(t *testing.T, b testkit.Broker, _ *testkit.Link, _ *observer.ObservedLogs) {
			hangUp(t, b, " publisher")
		},
		"broker closes the consumer": func(t *testing.T, b testkit.Broker, _ *testkit.Link, _ *observer.ObservedLogs) {
			hangUp(t, b, " consumer")
		},
		"queue is deleted and re-created": func(t *testing.T, b testkit.Broker, _ *testkit.Link, logs *observer.ObservedLogs) {
			if err := b.Manage("DELETE", "/api/queues/"+b.Vhost+"/"+queue, nil, nil); err != nil {
				t.Fatal(err)
			}
			// RabbitMQ 3.10 forgets to tell the consumers of a quorum queue that is re-created at once.
			testkit.Eventually(t, "see that the queue is gone", func() error {
				if logs.FilterMessageSnippet("interrupted").Len() == 0 {
					return errors.New("nothing in the log")
				}
				return nil
			})
			declare(t, config(b))
		},
	} {
		t.Run(name, func(t *testing.T) {
			broker := testkit.NewBroker(t)
			cfg := config(broker)
			declare(t, cfg)
			link := testkit.NewLink(t, broker.Addr)
			cfg.Addr = link.Addr()
			core, logs := observer.New(zap.InfoLevel)
			c := connectLogging(t, cfg, zap.New(core))
			var got record
			consume(t, c, mq.Consumer{Queue: queue, Handler: got.handle})
			connected(t, c)
			first, message := user(t, "u1", 1)
			publish(t, c, message)
			got.has(t, first.ID)

			cut(t, broker, link, logs)

			var ids []string
			for n := range int64(20) {
				e, message := user(t, "u1", n+2)
				ids = append(ids, e.ID)
				testkit.Eventually(t, "publish again", func() error {
					return c.Publish(context.Background(), []mq.Publishing{message})[0]
				})
			}
			got.has(t, ids...)
			connected(t, c)
		})
	}
}

func TestCloseWhileTheBrokerIsDown(t *testing.T) {
	broker := testkit.NewBroker(t)
	link := testkit.NewLink(t, broker.Addr)
	link.Cut()
	cfg := config(broker)
	cfg.Addr = link.Addr()
	cfg.MinBackoff, cfg.MaxBackoff = time.Hour, time.Hour
	c := mq.Connect(cfg, logger(t))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
	_, message := user(t, "u1", 1)
	if err := c.Publish(ctx, []mq.Publishing{message})[0]; !errors.Is(err, mq.ErrNotConnected) {
		t.Errorf("Publish after Close: %v, want ErrNotConnected", err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if err := c.Consume(ended, mq.Consumer{Queue: queue, Handler: new(record).handle}); err != nil {
		t.Errorf("Consume after Close: %v", err)
	}
}
