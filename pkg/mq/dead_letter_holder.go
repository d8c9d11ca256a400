package mq

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

const (
	deadPrefetch    = 65_535           // handed out at once, the most that AMQP can express; those above are fetched one by one
	deadBatch       = 16               // acknowledged at a time; see awaitAcknowledged
	deadBusyTimeout = 15 * time.Second // how long to wait for another operator
)

// deadLetterHolder holds all dead letters of a queue.
//
// The broker does not report that messages are held by another consumer: they are missing. But it reports how many consumers
// a queue has, so a holder is a consumer for as long as it holds something, and one that finds another consumer beside
// itself releases its messages and tries again. Of two that begin at once, at least the later one sees the other. (A quorum
// queue does not enforce exclusive consumers, which would be simpler.)
type deadLetterHolder struct {
	cfg   Config
	queue string // whose dead letters
	conn  *amqp.Connection
	ch    *amqp.Channel // holds the letters
	held  []heldLetter
}

type heldLetter struct {
	letter   DeadLetter
	delivery amqp.Delivery
}

// withDeadLetters calls use with all dead letters of the queue. Those that use does not acknowledge stay.
func withDeadLetters(ctx context.Context, cfg Config, queue string, use func(*deadLetterHolder) error) error {
	cfg = cfg.withDefaults()
	conn, err := dial(ctx, cfg, cfg.Name+" dead letters")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotConnected, err)
	}
	// The end of the connection gives back what was held.
	stop := context.AfterFunc(ctx, func() { _ = conn.CloseDeadline(time.Now()) })
	defer func() {
		if stop() {
			_ = conn.CloseDeadline(time.Now().Add(cfg.PublishTimeout))
		}
	}()
	h := &deadLetterHolder{cfg: cfg, queue: queue, conn: conn}
	pause := &backoff.ExponentialBackOff{InitialInterval: 20 * time.Millisecond, MaxInterval: 500 * time.Millisecond, Multiplier: 1.5, RandomizationFactor: 0.8}
	limit := time.Now().Add(deadBusyTimeout)
	for {
		guard, err := h.holdAll(ctx)
		if errors.Is(err, ErrDeadLettersBusy) && time.Now().Before(limit) {
			if sleep(ctx, pause.NextBackOff()) == nil {
				continue
			}
		}
		if err != nil {
			return h.explainError(ctx, err)
		}
		err = use(h)
		h.releaseHeld(guard)
		if err == nil {
			err = ctx.Err() // removed letters may have come back
		}
		return h.explainError(ctx, err)
	}
}

// explainError returns what the operator needs to know instead of the library's error.
func (h *deadLetterHolder) explainError(ctx context.Context, err error) error {
	var a *amqp.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &a) && a.Code == amqp.NotFound:
		return fmt.Errorf("queue %s has no dead letters' queue: was its topology declared? %w", h.queue, err)
	case errors.Is(err, ErrDeadLettersBusy), errors.As(err, &a) && a.Code == amqp.AccessRefused:
		return fmt.Errorf("dead letters of %s: %w", h.queue, err)
	case h.conn.IsClosed():
		return fmt.Errorf("%w: dead letters of %s: %w", ErrNotConnected, h.queue, err)
	}
	return fmt.Errorf("dead letters of %s: %w", h.queue, err)
}

// holdAll takes all dead letters and returns the channel that shows others that they are held.
func (h *deadLetterHolder) holdAll(ctx context.Context) (guard *amqp.Channel, err error) {
	name, deliveries := deadQueueName(h.queue), (<-chan amqp.Delivery)(nil)
	const tag = "pgo" // unique within its channel, which is ours alone
	h.held = nil
	h.ch, err = openChannel(ctx, h.conn, func(ch *amqp.Channel) (err error) {
		if err = ch.Qos(deadPrefetch, 0, false); err == nil {
			deliveries, err = ch.Consume(name, tag, false, false, false, false, nil)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = h.ch.Close()
		}
	}()
	q, err := h.ch.QueueDeclarePassive(name, true, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	if q.Consumers > 1 {
		return nil, ErrDeadLettersBusy
	}
	// The broker answers this after it has handed out all that the consumer may have, so an empty answer means that none is left.
	var above []heldLetter
	for {
		d, ok, err := h.ch.Get(name, false)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		above = append(above, heldLetter{newDeadLetter(d, h.queue), d})
	}
	// Only the end of their consumer marks the end of the deliveries, so another consumer takes its place before. It may
	// receive a letter that has just died, and gives it back.
	guard, err = openChannel(ctx, h.conn, func(ch *amqp.Channel) (err error) {
		if err = ch.Qos(1, 0, false); err == nil {
			_, err = ch.Consume(name, tag, false, false, false, false, nil)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := h.ch.Cancel(tag, false); err != nil {
		return nil, errors.Join(err, guard.Close())
	}
	for d := range deliveries {
		h.held = append(h.held, heldLetter{newDeadLetter(d, h.queue), d})
	}
	h.held = append(h.held, above...)
	return guard, nil
}

// awaitAcknowledged returns when the broker has acted on all acknowledgements so far. A channel sends a quorum queue 32
// commands ahead and keeps the rest to itself, and forgets those when it is closed; an answer from the queue shows that it
// has acted on them.
func (h *deadLetterHolder) awaitAcknowledged() error {
	_, _, err := h.ch.Get(deadQueueName(h.queue), false) // a letter that has arrived is given back with the others
	return err
}

// releaseHeld gives back what is still held, and only then lets others in.
func (h *deadLetterHolder) releaseHeld(guard *amqp.Channel) {
	_ = h.ch.Nack(0, true, true) // all that is outstanding; if this fails, the end of the channel does it
	_ = h.ch.Close()
	_ = guard.Close()
}

// publishReplays sends the copies that take letters back to their queue.
func (h *deadLetterHolder) publishReplays(ctx context.Context, letters []heldLetter) []error {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.PublishTimeout)
	defer cancel()
	l := newLink(h.cfg, "", zap.NewNop())
	l.setState(h.conn, "", nil)
	batch, errs := make([]Publishing, len(letters)), make([]error, len(letters))
	for i, held := range letters {
		batch[i] = h.cfg.newReplay(held.delivery, h.queue)
	}
	p := publisher{link: l}
	p.publishBatch(ctx, batch, errs)
	for _, pc := range p.free {
		_ = pc.ch.Close()
	}
	return errs
}

// contentID derives an id from content that has none.
func contentID(body []byte) string {
	sum := sha256.Sum256(body)
	return "content-" + hex.EncodeToString(sum[:8])
}
