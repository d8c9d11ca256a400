package mq

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"pgo/pkg/event"
)

// Delivery is one event as a handler receives it.
type Delivery struct {
	Event   event.Event
	Queue   string
	Attempt int // 1 for the first time; counts failures only, not deliveries that a lost connection repeats
}

// Handler handles an event. nil acknowledges it; an error delivers it again after the next retry delay, and moves it to the
// dead letters after the last one or if MarkPermanent marked it. A panic counts as an error. ctx carries the trace of the
// event and ends after Consumer.HandlerTimeout, or when the consumer had to stop before the handler was done: an error after
// that does not count as a failure, and the event comes again.
type Handler func(ctx context.Context, d Delivery) error

// Consumer configures what to consume and how. Queue and Handler are required.
type Consumer struct {
	Queue   string
	Handler Handler

	// Workers handle deliveries at once; with one, events come one after the other in the queue's order, retries apart.
	Workers int // default 1
	// Prefetch bounds the unacknowledged deliveries that the broker hands out.
	Prefetch int // default 16, at least Workers

	HandlerTimeout time.Duration // default 1m
	// StopTimeout bounds how long held deliveries may be finished after ctx has ended. Default 5s.
	StopTimeout time.Duration
}

func (k Consumer) withDefaults() (Consumer, error) {
	if k.Queue == "" || k.Handler == nil {
		return k, errors.New("a consumer needs a queue and a handler")
	}
	k.Workers = max(k.Workers, 1)
	if k.Prefetch == 0 {
		k.Prefetch = 16
	}
	k.Prefetch = max(k.Prefetch, k.Workers)
	if k.HandlerTimeout == 0 {
		k.HandlerTimeout = time.Minute
	}
	if k.StopTimeout == 0 {
		k.StopTimeout = 5 * time.Second
	}
	return k, nil
}

// Consume passes deliveries to k.Handler until ctx ends, over every loss of the connection and also while the queue does not
// exist yet. Then it accepts no new ones, finishes those that it holds within k.StopTimeout and returns nil; unfinished ones
// go back to the queue. It returns an error only if a required field of k is missing.
func (c *Conn) Consume(ctx context.Context, k Consumer) error {
	k, err := k.withDefaults()
	if err != nil {
		return err
	}
	log := c.log.With(zap.String("queue", k.Queue))
	c.metrics.initQueue(k.Queue)
	link, pause, last := c.consumerLink(), c.cfg.newBackoff(), ""
	for {
		conn, err := link.awaitConnection(ctx)
		if err != nil {
			return nil // ctx has ended
		}
		since := time.Now()
		err = c.consumeSession(ctx, conn, k, log)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(since) > c.cfg.MaxBackoff {
			pause.Reset()
			last = ""
		}
		if err.Error() != last { // log it once, not at every attempt
			log.Warn("consuming was interrupted, trying on", zap.Error(err))
			last = err.Error()
		}
		_ = sleep(ctx, pause.NextBackOff())
	}
}

// consumeSession consumes on one channel until it is lost, or until ctx has ended and the held deliveries are finished. It
// always returns the reason.
func (c *Conn) consumeSession(ctx context.Context, conn *amqp.Connection, k Consumer, log *zap.Logger) error {
	const tag = "pgo" // unique within its channel, which is ours alone
	var deliveries <-chan amqp.Delivery
	ch, err := openChannel(ctx, conn, func(ch *amqp.Channel) (err error) {
		if err = ch.Qos(k.Prefetch, 0, false); err == nil {
			deliveries, err = ch.Consume(k.Queue, tag, false, false, false, false, nil)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("consume %s: %w", k.Queue, err)
	}
	// Whatever is not acknowledged goes back to the queue with the channel.
	defer closeWithin(ch, time.Second)
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	log.Info("consuming")

	// Handlers outlive ctx by StopTimeout.
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var workers sync.WaitGroup
	for range k.Workers {
		workers.Go(func() {
			for d := range deliveries {
				if ch.IsClosed() || work.Err() != nil {
					continue // the broker has given it to another consumer
				}
				c.handleDelivery(work, ch, k, d, log)
			}
		})
	}
	finished := make(chan struct{})
	go func() {
		workers.Wait()
		close(finished)
	}()

	select {
	case <-finished:
		select {
		case err, ok := <-closed:
			if ok && err != nil {
				return err
			}
		default: // the channel lives: the queue was deleted
		}
		return errors.New("the broker ended the subscription")
	case <-ctx.Done():
	}

	// No more deliveries: the library closes the channel after those that have arrived.
	go func() { _ = ch.Cancel(tag, false) }()
	deadline := time.NewTimer(k.StopTimeout)
	defer deadline.Stop()
	select {
	case <-finished:
		return ctx.Err()
	case <-deadline.C:
	}
	abandon()
	log.Warn("stopped before everything held was finished; the rest goes back to the queue")
	// A moment for handlers to see that their ctx has ended. One that ignores it is left running.
	deadline.Reset(time.Second)
	select {
	case <-finished:
	case <-deadline.C:
	}
	return ctx.Err()
}

// handleDelivery runs the handler on one delivery, then acknowledges it or hands it on.
func (c *Conn) handleDelivery(ctx context.Context, ch *amqp.Channel, k Consumer, d amqp.Delivery, log *zap.Logger) {
	e, err := event.Parse(d.Body)
	if err != nil {
		c.handOnFailed(ctx, ch, k, d, MarkPermanent(err), log)
		return
	}
	log = log.With(zap.String("event_id", e.ID), zap.String("event_type", e.Type))
	began := time.Now()
	within, span := startHandleSpan(ctx, c.tracer, k.Queue, e, d)
	if ids := trace.SpanContextFromContext(within); ids.IsValid() {
		log = log.With(zap.String("trace_id", ids.TraceID().String()), zap.String("span_id", ids.SpanID().String()))
	}
	err = callHandler(within, k, Delivery{Event: e, Queue: k.Queue, Attempt: countAttempts(d) + 1})
	endSpan(span, err)
	c.metrics.duration.WithLabelValues(k.Queue).Observe(time.Since(began).Seconds())
	switch {
	case err == nil:
		acknowledge(d, log)
		c.metrics.deliveries.WithLabelValues(k.Queue, resultDone).Inc()
	case ctx.Err() != nil:
		// Stopped half-way, which is no failure: unacknowledged, it comes again.
	default:
		c.handOnFailed(ctx, ch, k, d, err, log)
	}
}

func callHandler(ctx context.Context, k Consumer, d Delivery) (err error) {
	ctx, cancel := context.WithTimeout(ctx, k.HandlerTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = panicError{v, debug.Stack()}
		}
	}()
	return k.Handler(ctx, d)
}

// acknowledge asks the broker to forget d. If the request is lost, d comes again.
func acknowledge(d amqp.Delivery, log *zap.Logger) {
	if err := d.Ack(false); err != nil {
		log.Info("could not acknowledge an event, it will come again", zap.Error(err))
	}
}

// closeWithin closes ch but does not wait longer than d for a broker that does not answer.
func closeWithin(ch *amqp.Channel, d time.Duration) {
	done := make(chan struct{})
	go func() {
		_ = ch.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}
