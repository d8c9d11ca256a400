package mq_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

func TestMetrics(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	link := testkit.NewLink(t, broker.Addr)
	cfg.Addr = link.Addr()
	c := connect(t, cfg)
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	connected(t, c)
	consume(t, c, mq.Consumer{Queue: queue, Handler: func(_ context.Context, d mq.Delivery) error {
		switch {
		case d.Event.Subject == "good", d.Attempt > 1:
			return nil
		case d.Event.Subject == "later":
			return errors.New("not yet")
		}
		return mq.MarkPermanent(errors.New("never"))
	}})
	for _, subject := range []string{"good", "later", "hopeless"} {
		_, message := user(t, subject, 1)
		if err := c.Publish(context.Background(), []mq.Publishing{message})[0]; err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"pgo_mq_connected", "pgo_mq_published_total", "pgo_mq_deliveries_total"}
	metrics := func(want string) func() error {
		return func() error { return testutil.GatherAndCompare(reg, strings.NewReader(want), names...) }
	}
	testkit.Eventually(t, "everything is counted", metrics(`
# HELP pgo_mq_connected 1 when this connection to the broker can be used, else 0.
# TYPE pgo_mq_connected gauge
pgo_mq_connected{link="consumer"} 1
pgo_mq_connected{link="publisher"} 1
# HELP pgo_mq_deliveries_total Deliveries by what became of them: done, retried (failed, comes again) or dead (put to the dead letters).
# TYPE pgo_mq_deliveries_total counter
pgo_mq_deliveries_total{queue="school.users",result="dead"} 1
pgo_mq_deliveries_total{queue="school.users",result="done"} 2
pgo_mq_deliveries_total{queue="school.users",result="retried"} 1
# HELP pgo_mq_published_total Messages by what became of them: confirmed by the broker, or failed.
# TYPE pgo_mq_published_total counter
pgo_mq_published_total{result="confirmed"} 5
pgo_mq_published_total{result="failed"} 0
`))
	link.Cut()
	names = names[:1]
	testkit.Eventually(t, "the loss of both connections shows", metrics(`
# HELP pgo_mq_connected 1 when this connection to the broker can be used, else 0.
# TYPE pgo_mq_connected gauge
pgo_mq_connected{link="consumer"} 0
pgo_mq_connected{link="publisher"} 0
`))
}
