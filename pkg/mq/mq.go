// Package mq publishes and consumes events over RabbitMQ. It guarantees:
//
//   - a Conn connects and reconnects until it is closed, and never makes its owner wait;
//   - Publish reports for each message whether the broker has accepted it (publisher confirms on persistent messages);
//   - a consumed message is acknowledged only after its handler succeeded, or after the broker confirmed that it has the
//     message in a retry queue or in the dead letters. So each is handled at least once, and handlers must allow for repetition
//     (package inbox);
//   - Declare alone creates topology. Everything else works with an account that may not configure anything.
//
// The path of a message of queue Q:
//
//	pgo.events (topic) -> Q -> handler
//	      handler failed: pgo.retry.D (key Q) -> queue pgo.retry.D, whose messages expire after D -> pgo.requeue (direct, key Q) -> Q
//	      failed for good, or not an event: pgo.dead (direct, key Q) -> Q.dead
//
// There is one retry queue for each delay, shared by all queues, and the attempt is counted in a header of our own: the
// broker's own redelivery counts and delays differ between RabbitMQ 3.10 and 4.3.
//
// amqp091-go's own recovery stays off. It begins only after a first connection has succeeded, so a loop around the first
// dial is needed in any case, and then the same loop serves for every later one; and it puts new broker channels under old
// Channel values, on which an acknowledgement from before the cut would name another message. Here a delivery lives and dies
// with its channel.
package mq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/otel/trace"
)

// Exchanges, all durable and declared by Declare.
const (
	EventsExchange  = "pgo.events"  // topic; routing key = the event's type
	RequeueExchange = "pgo.requeue" // direct; from the retry queues back to the queue that the routing key names
	DeadExchange    = "pgo.dead"    // direct; routing key = the queue in which the message failed
)

// Headers that this package puts on messages in retry queues and dead letters.
const (
	HeaderAttempt     = "x-pgo-attempt"         // number of failures
	HeaderQueue       = "x-pgo-queue"           // the queue in which it failed
	HeaderExchange    = "x-pgo-exchange"        // its first exchange
	HeaderRoutingKey  = "x-pgo-routing-key"     // its first routing key
	HeaderReason      = "x-pgo-reason"          // the last error, shortened
	HeaderFirstFailed = "x-pgo-first-failed-at" // RFC 3339
	HeaderLastFailed  = "x-pgo-last-failed-at"  // RFC 3339
)

// Why a message could not be published. Errors of Publish wrap one of these.
var (
	ErrNotConnected = errors.New("not connected to RabbitMQ")
	ErrBlocked      = errors.New("RabbitMQ takes no messages at the moment")
	ErrNacked       = errors.New("RabbitMQ refused the message")
	ErrUnconfirmed  = errors.New("no confirmation from RabbitMQ") // it may or may not have the message
	ErrUnroutable   = errors.New("no queue is bound for the message")
	ErrInvalid      = errors.New("message cannot be published")
)

// Config locates the broker and sets timeouts. Zero values mean the defaults.
type Config struct {
	Addr     string // host:port
	Vhost    string // default "/"
	Username string
	Password string // in the clear, so a Config does not belong in a log or an error

	// Name is shown by the broker as the connection's name; the service's name is a good one.
	Name string

	// Tracer receives a span for each message that is published or handled as part of a sampled trace. Default: none.
	Tracer trace.TracerProvider

	// RetryDelays are the pauses after the first, second ... failure of a message; after the last it is dead.
	// Declare and consumers must agree on them. Default 1s, 10s, 1m, 10m.
	RetryDelays []time.Duration

	// PublishTimeout bounds the wait for confirmations, and separately how long one write to the network may take, so
	// that Publish returns after twice as long at the worst. Default 5s.
	PublishTimeout time.Duration

	// Heartbeat is a third of the silence after which a connection is given up. Default 5s, at least 1s.
	Heartbeat time.Duration

	// DialTimeout bounds one attempt to connect and sign in. Default 10s.
	DialTimeout time.Duration

	// MinBackoff and MaxBackoff bound the pause between attempts to connect, which doubles and jitters by a quarter.
	// Defaults 100ms and 5s.
	MinBackoff, MaxBackoff time.Duration
}

func (c Config) withDefaults() Config {
	if c.Vhost == "" {
		c.Vhost = "/"
	}
	if c.RetryDelays == nil {
		c.RetryDelays = []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.PublishTimeout, 5 * time.Second},
		{&c.Heartbeat, 5 * time.Second},
		{&c.DialTimeout, 10 * time.Second},
		{&c.MinBackoff, 100 * time.Millisecond},
		{&c.MaxBackoff, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return c
}

func (c Config) newBackoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: c.MinBackoff, MaxInterval: c.MaxBackoff, Multiplier: 2, RandomizationFactor: 0.25,
	}
}

// retryName returns the name of the exchange and of the queue that hold a message for d: pgo.retry.10m.
func retryName(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return "pgo.retry." + s
}

// sleep waits for d or returns ctx's error.
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

// permanentError marks an error that no retry can resolve.
type permanentError struct{ err error }

func (p permanentError) Error() string { return p.err.Error() }
func (p permanentError) Unwrap() error { return p.err }

// MarkPermanent marks a handler's error as one that no retry can resolve: the message goes to the dead letters at once.
// MarkPermanent(nil) is nil.
func MarkPermanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent reports whether MarkPermanent marked err or an error that it wraps.
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

// panicError is a handler's panic as an error.
type panicError struct {
	value any
	stack []byte
}

func (p panicError) Error() string { return fmt.Sprintf("handler panicked: %v", p.value) }
