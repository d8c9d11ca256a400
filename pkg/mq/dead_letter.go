package mq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"pgo/pkg/event"
)

// DeadLetter is a message that a queue's consumer has given up.
type DeadLetter struct {
	ID       string // the event's id; for content that is not an event, one derived from the content
	Queue    string // in which it failed
	Event    event.Event
	ParseErr error // why the content is not an event; Event is then empty

	Attempts    int    // how many times its handling has failed; 0 if the broker gave it up, see Reason
	Reason      string // the last error
	FirstFailed time.Time
	LastFailed  time.Time
	Exchange    string // its first exchange
	RoutingKey  string // its first routing key

	ContentType string
	Size        int    // of the content, in bytes
	Body        []byte // nil in what ListDeadLetters returns
}

// ErrDeadLettersBusy reports that another operator held the dead letters for too long.
var ErrDeadLettersBusy = errors.New("another operator is working on these dead letters")

// The functions for dead letters work with a service's own account, each on a connection of its own. While one looks at a
// queue's dead letters it holds them all, so concurrent ones wait for each other: each sees every dead letter. A process
// that dies releases what it held. All return ErrNotConnected, ErrDeadLettersBusy or the broker's answer.

// ListDeadLetters returns the dead letters of queue in their order and leaves them where they are.
func ListDeadLetters(ctx context.Context, cfg Config, queue string) ([]DeadLetter, error) {
	var all []DeadLetter
	err := withDeadLetters(ctx, cfg, queue, func(h *deadLetterHolder) error {
		for _, held := range h.held {
			l := held.letter
			l.Body = nil
			all = append(all, l)
		}
		return nil
	})
	return all, err
}

// ReadDeadLetters returns the wanted dead letters of queue with their content, and leaves them where they are.
func ReadDeadLetters(ctx context.Context, cfg Config, queue string, wanted func(DeadLetter) bool) ([]DeadLetter, error) {
	var found []DeadLetter
	err := withDeadLetters(ctx, cfg, queue, func(h *deadLetterHolder) error {
		for _, held := range h.held {
			if wanted(held.letter) {
				found = append(found, held.letter)
			}
		}
		return nil
	})
	return found, err
}

// ReplayDeadLetters delivers the wanted dead letters of queue again: each goes to the shortest retry queue and from there
// back to queue, with all its attempts before it. It removes a dead letter after the broker has confirmed the copy, so one
// that is interrupted in between may be both handled and dead; handlers must allow for that. It returns what was replayed,
// also with an error.
func ReplayDeadLetters(ctx context.Context, cfg Config, queue string, wanted func(DeadLetter) bool) ([]DeadLetter, error) {
	if cfg.RetryDelays != nil && len(cfg.RetryDelays) == 0 {
		return nil, errors.New("there is no retry queue to replay through")
	}
	return removeDeadLetters(ctx, cfg, queue, wanted, func(h *deadLetterHolder, batch []heldLetter) []error {
		return h.publishReplays(ctx, batch)
	})
}

// DropDeadLetters deletes the wanted dead letters of queue and returns them.
func DropDeadLetters(ctx context.Context, cfg Config, queue string, wanted func(DeadLetter) bool) ([]DeadLetter, error) {
	return removeDeadLetters(ctx, cfg, queue, wanted, func(_ *deadLetterHolder, batch []heldLetter) []error {
		return make([]error, len(batch))
	})
}

// removeDeadLetters removes the wanted letters for which deal returns no error.
func removeDeadLetters(
	ctx context.Context, cfg Config, queue string, wanted func(DeadLetter) bool, deal func(*deadLetterHolder, []heldLetter) []error,
) (done []DeadLetter, err error) {
	err = withDeadLetters(ctx, cfg, queue, func(h *deadLetterHolder) error {
		var chosen []heldLetter
		for _, held := range h.held {
			if wanted(held.letter) {
				chosen = append(chosen, held)
			}
		}
		for len(chosen) > 0 {
			batch := chosen[:min(len(chosen), deadBatch)]
			chosen = chosen[len(batch):]
			var failed error // the first; a letter that was dealt with must not stay because of another
			for i, err := range deal(h, batch) {
				if err == nil {
					err = batch[i].delivery.Ack(false)
				}
				if err == nil {
					done = append(done, batch[i].letter)
				} else if failed == nil {
					failed = fmt.Errorf("%s: %w", batch[i].letter.ID, err)
				}
			}
			if err := errors.Join(failed, h.awaitAcknowledged()); err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

// newReplay returns the message that takes a dead letter back to its queue. It keeps the history of the failures and
// restarts the count.
func (c Config) newReplay(d amqp.Delivery, queue string) Publishing {
	headers := map[string]any{}
	for _, name := range []string{HeaderFirstFailed, HeaderExchange, HeaderRoutingKey, traceHeader} {
		if s, ok := d.Headers[name].(string); ok {
			headers[name] = truncate(s, 255)
		}
	}
	return Publishing{
		Exchange: retryName(c.RetryDelays[0]), RoutingKey: queue, Mandatory: true,
		MessageID: d.MessageId, ContentType: d.ContentType, Body: d.Body, Headers: headers,
	}
}

// newDeadLetter reads what is known about a dead letter. It trusts no type in it: any client may have published it.
func newDeadLetter(d amqp.Delivery, queue string) DeadLetter {
	l := DeadLetter{
		Queue: queue, Attempts: countAttempts(d), ContentType: d.ContentType, Size: len(d.Body), Body: d.Body,
		Reason: headerText(d.Headers, HeaderReason), Exchange: headerText(d.Headers, HeaderExchange), RoutingKey: headerText(d.Headers, HeaderRoutingKey),
		FirstFailed: headerTime(d.Headers, HeaderFirstFailed), LastFailed: headerTime(d.Headers, HeaderLastFailed),
	}
	if l.Event, l.ParseErr = event.Parse(d.Body); l.ParseErr == nil {
		l.ID = l.Event.ID
	} else {
		l.Event, l.ID = event.Event{}, contentID(d.Body)
	}
	if l.Reason == "" {
		l.readBrokerDeath(d.Headers)
	}
	return l
}

// readBrokerDeath fills in the broker's notes on a message that the broker itself gave up.
func (l *DeadLetter) readBrokerDeath(h amqp.Table) {
	deaths, _ := h["x-death"].([]any)
	if len(deaths) == 0 {
		l.Reason = "unknown: it was put among the dead letters directly"
		return
	}
	death, _ := deaths[0].(amqp.Table) // the latest
	why, _ := death["reason"].(string)
	if why == "delivery_limit" {
		l.Reason = fmt.Sprintf("its consumer died or lost its connection over it more than %d times", DeliveryLimit)
	} else {
		l.Reason = "given up by the broker: " + strings.ToValidUTF8(why, "")
	}
	if at, ok := death["time"].(time.Time); ok {
		l.FirstFailed, l.LastFailed = at.UTC(), at.UTC()
	}
	l.Exchange, _ = death["exchange"].(string)
	if keys, _ := death["routing-keys"].([]any); len(keys) > 0 {
		l.RoutingKey, _ = keys[0].(string)
	}
}

func headerText(h amqp.Table, name string) string {
	s, _ := h[name].(string)
	return s
}

func headerTime(h amqp.Table, name string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, headerText(h, name))
	if err != nil {
		return time.Time{}
	}
	return at
}
