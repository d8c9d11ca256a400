package mq

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// Conn connects a service to the broker. It keeps two connections: one to publish on and, from the first Consume on, one to
// consume on, because a broker that is short of memory or disk stops reading from connections that publish, and
// acknowledgements must get through just then. It is safe for concurrent use, and a prometheus.Collector of its own metrics.
type Conn struct {
	cfg Config
	log *zap.Logger
	pub *publisher
	sub *link

	metrics *metricSet
	tracer  trace.Tracer

	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	running   sync.WaitGroup
	startSub  sync.Once
	consuming chan struct{} // closed once sub runs
}

// Connect returns at once and never fails: it connects in the background until Close, also while the broker is unavailable,
// while the account does not exist yet and while the password is refused. IsConnected and Check report the state.
func Connect(cfg Config, log *zap.Logger) *Conn {
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	name := cfg.Name
	if name == "" {
		name = cfg.Username
	}
	c := &Conn{
		cfg: cfg, log: log, ctx: ctx, cancel: cancel,
		pub:       &publisher{link: newLink(cfg, name+" publisher", log), tracer: newTracer(cfg.Tracer)},
		sub:       newLink(cfg, name+" consumer", log),
		consuming: make(chan struct{}),
		metrics:   newMetricSet(),
		tracer:    newTracer(cfg.Tracer),
	}
	c.running.Go(func() { c.pub.link.run(ctx) })
	return c
}

// Check returns nil when messages can be published and, once Consume was called, consumed. Otherwise it returns
// ErrNotConnected with the reason of the last attempt, or ErrBlocked with the broker's reason.
func (c *Conn) Check(context.Context) error {
	if _, err := c.pub.link.usableConnection(); err != nil {
		return err
	}
	select {
	case <-c.consuming:
		_, err := c.sub.usableConnection()
		return err
	default:
		return nil
	}
}

// IsConnected reports whether Check returns nil.
func (c *Conn) IsConnected() bool { return c.Check(c.ctx) == nil }

// Close ends the connections and returns when they are closed or when ctx ends, with ctx's error. End consumers and
// publishers first: after Close they fail with ErrNotConnected.
func (c *Conn) Close(ctx context.Context) error {
	c.startSub.Do(func() {}) // a Consume that comes now finds a link that never connects, and ends with its ctx
	c.cancel()
	done := make(chan struct{})
	go func() {
		c.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// consumerLink starts the connection for consuming when it is first needed.
func (c *Conn) consumerLink() *link {
	c.startSub.Do(func() {
		c.running.Go(func() { c.sub.run(c.ctx) })
		close(c.consuming)
	})
	return c.sub
}
