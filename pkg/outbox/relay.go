package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pgo/pkg/mq"
)

// Publisher publishes a batch and returns one result for each message, nil once the broker has confirmed it. *mq.Conn is
// one.
type Publisher interface {
	Publish(ctx context.Context, batch []mq.Publishing) []error
}

// Options configure a Relay. Zero values mean the defaults.
type Options struct {
	BatchSize     int           // events read at a time; default 200
	PollInterval  time.Duration // longest wait of an event without Notify, and of a standby before it tries to take over; default 1s
	Retention     time.Duration // how long published events are kept for inspection; default 24h
	PruneInterval time.Duration // how often older ones are deleted, up to 500 at a time; default 10s

	// MinBackoff and MaxBackoff bound the pause after a failure. Defaults 100ms and 2s.
	MinBackoff, MaxBackoff time.Duration
}

func (o Options) withDefaults() Options {
	if o.BatchSize == 0 {
		o.BatchSize = 200
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.PollInterval, time.Second},
		{&o.Retention, 24 * time.Hour},
		{&o.PruneInterval, 10 * time.Second},
		{&o.MinBackoff, 100 * time.Millisecond},
		{&o.MaxBackoff, 2 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return o
}

// Relay publishes the outbox of one database. Every instance of a service runs one; the one that holds the lock works, the
// others stand by.
type Relay struct {
	db        *sql.DB
	pub       Publisher
	log       *zap.Logger
	opts      Options
	wakeUp    chan struct{}
	published prometheus.Counter
	failures  prometheus.Counter
	active    prometheus.Gauge
}

// NewRelay returns a relay and registers its metrics with reg: pgo_outbox_pending and pgo_outbox_oldest_pending_seconds
// (read from the database when scraped, the same from every instance, missing while it does not answer), and of this
// instance pgo_outbox_published_total, pgo_outbox_failures_total and pgo_outbox_relay_active. It returns an error if reg has
// them already.
func NewRelay(db *sql.DB, pub Publisher, log *zap.Logger, reg prometheus.Registerer, opts Options) (*Relay, error) {
	r := &Relay{
		db: db, pub: pub, log: log, opts: opts.withDefaults(),
		wakeUp: make(chan struct{}, 1),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pgo_outbox_published_total", Help: "Events that this instance has published and the broker has confirmed.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pgo_outbox_failures_total", Help: "Events that this instance could not publish, each time; they stay and are tried again.",
		}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pgo_outbox_relay_active", Help: "1 when this instance's relay is the one at work, else 0.",
		}),
	}
	for _, c := range []prometheus.Collector{r.published, r.failures, r.active, newBacklogCollector(db)} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the outbox's metrics: %w", err)
		}
	}
	return r, nil
}

// Notify wakes the relay for new events. It never blocks and is safe for concurrent use.
func (r *Relay) Notify() {
	select {
	case r.wakeUp <- struct{}{}:
	default:
	}
}

// Run relays until ctx ends. It needs no server to be available when it starts.
func (r *Relay) Run(ctx context.Context) {
	pause := &backoff.ExponentialBackOff{
		InitialInterval: r.opts.MinBackoff, MaxInterval: r.opts.MaxBackoff, Multiplier: 2, RandomizationFactor: 0.25,
	}
	failure := ""
	for ctx.Err() == nil {
		since := time.Now()
		err := r.relayWhileLeading(ctx)
		if time.Since(since) > r.opts.MaxBackoff {
			pause.Reset()
		}
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errOtherRelayActive):
			pause.Reset()
			_ = sleep(ctx, r.opts.PollInterval)
		default:
			if err.Error() != failure { // log it once, not at every attempt
				r.log.Warn("the outbox relay has no database, trying on", zap.Error(err))
			}
			failure = err.Error()
			_ = sleep(ctx, pause.NextBackOff())
			continue
		}
		failure = ""
	}
}

var errOtherRelayActive = errors.New("another relay is at work")

// relayWhileLeading takes the lock and relays until ctx ends or the connection that holds the lock fails. All reads and
// writes of the relay use this connection: when the server has ended it, and so released the lock, the next statement fails.
func (r *Relay) relayWhileLeading(ctx context.Context) error {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	t := table{conn: conn}
	if err := t.acquireLock(ctx); err != nil {
		return err
	}
	defer t.releaseLock()
	r.log.Info("the outbox relay is at work")
	r.active.Set(1)
	defer r.active.Set(0)
	return r.relayUntilLost(ctx, t)
}

func (r *Relay) relayUntilLost(ctx context.Context, t table) error {
	pause := &backoff.ExponentialBackOff{
		InitialInterval: r.opts.MinBackoff, MaxInterval: r.opts.MaxBackoff, Multiplier: 2, RandomizationFactor: 0.25,
	}
	failure := ""
	var pruned time.Time
	for {
		failed, err := r.publishPending(ctx, t)
		if err != nil {
			return err
		}
		if time.Since(pruned) >= r.opts.PruneInterval {
			if err := t.pruneBatch(ctx, r.opts.Retention); err != nil {
				return err
			}
			pruned = time.Now()
		}
		switch {
		case failed != nil:
			if failed.Error() != failure {
				r.log.Warn("events could not be published, trying on", zap.Error(failed))
			}
			failure = failed.Error()
			err = sleep(ctx, pause.NextBackOff())
		default:
			if failure != "" {
				r.log.Info("events are published again")
			}
			failure = ""
			pause.Reset()
			err = r.awaitEvents(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// maxFailedSubjects bounds the failed subjects of a pass. Above it the cause is the broker, not the events, and the pass
// gives up.
const maxFailedSubjects = 100

// publishPending publishes all pending events, batch by batch. A subject whose event fails is left out for the rest of the
// pass, so that it does not delay others. failed is the first such failure, err an error of the database.
func (r *Relay) publishPending(ctx context.Context, t table) (failed, err error) {
	stuck := map[string]bool{}
	for {
		if err := t.checkLock(ctx); err != nil {
			return failed, err
		}
		rows, err := t.readPending(ctx, r.opts.BatchSize, stuck)
		if err != nil {
			return failed, err
		}
		f, err := r.publishRows(ctx, t, rows, stuck)
		if failed == nil {
			failed = f
		}
		if err != nil || len(rows) < r.opts.BatchSize || len(stuck) > maxFailedSubjects {
			return failed, err
		}
	}
}

// publishRows sends rows in rounds, each with the first unsent event of each subject, so that no event is sent before its
// predecessor is confirmed. It adds the subjects whose events failed to stuck.
func (r *Relay) publishRows(ctx context.Context, t table, rows []row, stuck map[string]bool) (failed, err error) {
	for len(rows) > 0 {
		var round, later []row
		taken := map[string]bool{}
		for _, e := range rows {
			switch {
			case stuck[e.subject]:
			case taken[e.subject]:
				later = append(later, e)
			default:
				taken[e.subject] = true
				round = append(round, e)
			}
		}
		batch := make([]mq.Publishing, len(round))
		for i, e := range round {
			batch[i] = mq.Publishing{RoutingKey: e.typ, MessageID: e.eventID, Body: e.envelope}
		}
		var done []any
		for i, err := range r.pub.Publish(ctx, batch) {
			if err == nil {
				done = append(done, round[i].id)
				continue
			}
			stuck[round[i].subject] = true
			r.failures.Inc()
			if failed == nil {
				failed = fmt.Errorf("publish event %s: %w", round[i].typ, err)
			}
		}
		if err := t.markPublished(ctx, done); err != nil {
			return failed, err
		}
		r.published.Add(float64(len(done)))
		rows = later
	}
	return failed, nil
}

// awaitEvents returns when there may be new events.
func (r *Relay) awaitEvents(ctx context.Context) error {
	t := time.NewTimer(r.opts.PollInterval)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.wakeUp:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
