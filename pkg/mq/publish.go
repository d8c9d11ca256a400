package mq

import (
	"context"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"pgo/pkg/event"
)

// maxInFlight bounds the unconfirmed messages of a batch.
const maxInFlight = 256

// Publishing is one message. It is always persistent.
type Publishing struct {
	Exchange    string // default EventsExchange
	RoutingKey  string
	MessageID   string
	ContentType string // default event.ContentType
	Body        []byte // not to be changed before Publish has returned
	Headers     map[string]any

	// Mandatory makes it an error (ErrUnroutable) when no queue is bound for the message. An event without consumers is
	// normal, so it is off for those; a message for a retry queue or the dead letters must never vanish, so it is on there.
	Mandatory bool
}

// Publish sends a batch and waits for the broker's confirmations, all together. The result has one entry for each message,
// in their order: nil when the broker has it, else ErrNotConnected, ErrBlocked, ErrNacked, ErrUnconfirmed, ErrUnroutable or
// ErrInvalid, wrapped with the reason. A message with an error may still have arrived, except for ErrInvalid and
// ErrUnroutable; the caller decides whether to send it again.
//
// An error concerns its message alone, with one exception that AMQP makes: when the broker closes the channel over a message
// (no such exchange, access refused), all of the batch that it had not confirmed yet fail with that reason.
//
// Messages of one call reach a queue in their order where all are confirmed. The trace context of the event, or else of ctx, goes
// along as header.
// Publish does not wait for a connection: without one it fails at once.
func (c *Conn) Publish(ctx context.Context, batch []Publishing) []error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.PublishTimeout)
	defer cancel()
	errs := make([]error, len(batch))
	for start := 0; start < len(batch); start += maxInFlight {
		end := min(start+maxInFlight, len(batch))
		c.pub.publishBatch(ctx, batch[start:end], errs[start:end])
	}
	c.metrics.countPublished(errs)
	return errs
}

// publisher lends out channels in confirm mode, each to one batch at a time: so confirmations and returned messages belong
// to that batch, and a channel with an open confirmation is closed instead of confusing the next batch.
type publisher struct {
	link   *link
	tracer trace.Tracer

	mu   sync.Mutex
	free []*pubChannel
}

type pubChannel struct {
	conn    *amqp.Connection
	ch      *amqp.Channel
	closed  chan *amqp.Error
	returns chan amqp.Return
	why     error // why the broker closed ch, once read from closed
}

func (p *publisher) borrowChannel(ctx context.Context) (*pubChannel, error) {
	conn, err := p.link.usableConnection()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	for len(p.free) > 0 {
		last := p.free[len(p.free)-1]
		p.free = p.free[:len(p.free)-1]
		if last.conn == conn && !last.ch.IsClosed() {
			p.mu.Unlock()
			return last, nil
		}
	}
	p.mu.Unlock()

	ch, err := openChannel(ctx, conn, func(ch *amqp.Channel) error { return ch.Confirm(false) })
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotConnected, err)
	}
	return &pubChannel{
		conn: conn, ch: ch,
		closed: ch.NotifyClose(make(chan *amqp.Error, 1)),
		// Room for a whole batch: a full listener would hold up the connection's reader.
		returns: ch.NotifyReturn(make(chan amqp.Return, maxInFlight)),
	}, nil
}

func (p *publisher) returnChannel(pc *pubChannel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, pc)
}

// publishBatch sets errs, which has an entry for each of at most maxInFlight messages.
func (p *publisher) publishBatch(ctx context.Context, batch []Publishing, errs []error) {
	pc, err := p.borrowChannel(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return
	}
	now := time.Now().UTC()
	spans := make([]trace.Span, len(batch))
	defer func() {
		for i, span := range spans {
			endSpan(span, errs[i])
		}
	}()

	confirmations := make([]*amqp.DeferredConfirmation, len(batch))
	for i, m := range batch {
		var headers propagation.MapCarrier
		headers, spans[i] = startPublishSpan(ctx, p.tracer, m)
		msg, err := m.toAMQP(now, headers)
		if err != nil {
			errs[i] = err
			continue
		}
		if confirmations[i], err = pc.ch.PublishWithDeferredConfirm(m.exchangeName(), m.RoutingKey, m.Mandatory, false, msg); err != nil {
			errs[i] = fmt.Errorf("%w: %w", ErrUnconfirmed, pc.closeReason(err))
		}
	}
	open := false
	for i, confirmation := range confirmations {
		if confirmation == nil {
			continue
		}
		switch acked, err := confirmation.WaitContext(ctx); {
		case err != nil:
			open = true
			errs[i] = fmt.Errorf("%w: %w", ErrUnconfirmed, err)
		case !acked && pc.ch.IsClosed():
			errs[i] = fmt.Errorf("%w: %w", ErrUnconfirmed, pc.closeReason(amqp.ErrClosed))
		case !acked:
			errs[i] = ErrNacked
		}
	}
	p.markReturned(pc, batch, errs)
	switch {
	case pc.ch.IsClosed():
	case open:
		go func() { _ = pc.ch.Close() }()
	default:
		p.returnChannel(pc)
	}
}

// markReturned marks the messages that the broker sent back. The broker returns a message before it confirms it, so all have
// arrived. Two messages of a batch with the same exchange, key and id share their result: both count as returned.
func (p *publisher) markReturned(pc *pubChannel, batch []Publishing, errs []error) {
	for {
		select {
		case r, ok := <-pc.returns:
			if !ok {
				return
			}
			for i, m := range batch {
				if m.Mandatory && errs[i] == nil && m.exchangeName() == r.Exchange && m.RoutingKey == r.RoutingKey && m.MessageID == r.MessageId {
					errs[i] = fmt.Errorf("%w: exchange %s, key %s: %s", ErrUnroutable, r.Exchange, r.RoutingKey, r.ReplyText)
				}
			}
		default:
			return
		}
	}
}

// closeReason returns the broker's reason for closing the channel, otherwise err.
func (pc *pubChannel) closeReason(err error) error {
	if pc.why == nil {
		select {
		case closed, ok := <-pc.closed:
			if ok && closed != nil {
				pc.why = closed
			}
		default:
		}
	}
	if pc.why != nil {
		return pc.why
	}
	return err
}

func (m Publishing) exchangeName() string {
	if m.Exchange == "" {
		return EventsExchange
	}
	return m.Exchange
}

// toAMQP checks what the library or the broker would answer by ending the channel or the whole connection.
func (m Publishing) toAMQP(now time.Time, trace propagation.MapCarrier) (amqp.Publishing, error) {
	const shortString = 255
	for name, s := range map[string]string{
		"exchange": m.Exchange, "routing key": m.RoutingKey, "message id": m.MessageID, "content type": m.ContentType,
	} {
		if len(s) > shortString {
			return amqp.Publishing{}, fmt.Errorf("%w: %s has %d bytes, at most %d", ErrInvalid, name, len(s), shortString)
		}
	}
	headers := amqp.Table{}
	for k, v := range trace {
		headers[k] = v
	}
	for k, v := range m.Headers {
		if len(k) > shortString {
			return amqp.Publishing{}, fmt.Errorf("%w: a header's name has %d bytes", ErrInvalid, len(k))
		}
		headers[k] = v
	}
	if err := headers.Validate(); err != nil {
		return amqp.Publishing{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	contentType := m.ContentType
	if contentType == "" {
		contentType = event.ContentType
	}
	return amqp.Publishing{
		DeliveryMode: amqp.Persistent, Timestamp: now, MessageId: m.MessageID, ContentType: contentType,
		Headers: headers, Body: m.Body,
	}, nil
}
