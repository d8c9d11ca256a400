package mq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Topology lists the queues that a service consumes. Services print it as JSON; an account that may configure the broker
// declares it.
type Topology struct {
	Queues []Queue `json:"queues"`
}

// Queue is one consumer group's queue. Its name begins with the service's name and a dot, which is all that the service's
// account may read: task.events.
type Queue struct {
	Name     string   `json:"name"`
	Bindings []string `json:"bindings"` // topics of EventsExchange: school.*.v1, user.deleted.v1
}

// DeliveryLimit bounds how often the broker itself delivers a message whose consumer died or lost its connection over it,
// before it moves it to the dead letters. It stops events that kill the process; HeaderAttempt counts the failures that a
// handler returns, which stay far below it.
const DeliveryLimit = 20

// deadDeliveryLimit keeps dead letters that are read and returned from vanishing: RabbitMQ 4 drops a message of a queue
// without its own limit after 20 deliveries, and 3.10 cannot express "no limit".
const deadDeliveryLimit = 1_000_000

// DeclareError names the part of the topology that could not be declared. If the broker has it with other properties, Err is
// its answer, which names the property and both values.
type DeclareError struct {
	Kind string // exchange, queue or binding
	Name string
	Err  error
}

// IsConflict reports whether the broker has the part with other properties. Any other error, such as a lost connection, may
// be temporary.
func (e *DeclareError) IsConflict() bool {
	var a *amqp.Error
	return errors.As(e.Err, &a) && a.Code == amqp.PreconditionFailed
}

func (e *DeclareError) Error() string {
	var a *amqp.Error
	if errors.As(e.Err, &a) && e.IsConflict() {
		return fmt.Sprintf("%s %s exists with other properties; delete it or keep the old ones: %s", e.Kind, e.Name, a.Reason)
	}
	return fmt.Sprintf("declare %s %s: %v", e.Kind, e.Name, e.Err)
}

func (e *DeclareError) Unwrap() error { return e.Err }

// Declare creates the exchanges, the retry queues for cfg.RetryDelays and, for each queue of the topologies, the queue, its
// bindings and its dead-letter queue. What exists with the same properties keeps its messages. Bindings are only ever added.
// It connects once and does not wait for a broker that is unavailable. It returns a *DeclareError, an error of connecting,
// or an error about the topology itself before it declares anything.
func Declare(ctx context.Context, cfg Config, topologies ...Topology) error {
	cfg = cfg.withDefaults()
	queues, err := mergeQueues(topologies)
	if err != nil {
		return err
	}
	conn, err := dial(ctx, cfg, "topology")
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.CloseDeadline(time.Now()) })
	defer func() {
		if stop() {
			_ = conn.CloseDeadline(time.Now().Add(time.Second))
		}
	}()
	ch, err := openChannel(ctx, conn, func(*amqp.Channel) error { return nil })
	if err != nil {
		return err
	}
	d := declarer{ch: ch}
	d.declareShared(cfg.RetryDelays)
	for _, q := range queues {
		d.declareQueue(q)
	}
	if d.err != nil && ctx.Err() != nil {
		return fmt.Errorf("declare the topology: %w", ctx.Err())
	}
	return d.err
}

// QueueNames lists the queues that Declare creates, in that order. It returns an error if the topology is invalid.
func QueueNames(cfg Config, topologies ...Topology) ([]string, error) {
	queues, err := mergeQueues(topologies)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, delay := range cfg.withDefaults().RetryDelays {
		names = append(names, retryName(delay))
	}
	for _, q := range queues {
		names = append(names, deadQueueName(q.Name), q.Name)
	}
	return names, nil
}

func deadQueueName(queue string) string { return queue + ".dead" }

// mergeQueues joins queues that are named more than once and refuses invalid ones.
func mergeQueues(topologies []Topology) ([]Queue, error) {
	var all []Queue
	for _, t := range topologies {
		for _, q := range t.Queues {
			service, rest, _ := strings.Cut(q.Name, ".")
			switch {
			case service == "" || rest == "":
				return nil, fmt.Errorf("queue %q: want a name like service.purpose", q.Name)
			case service == "pgo" || service == "amq":
				return nil, fmt.Errorf("queue %q: names that begin with %s. are taken", q.Name, service)
			case len(q.Name) > 200:
				return nil, fmt.Errorf("queue %.40q...: the name has %d bytes, at most 200", q.Name, len(q.Name))
			case strings.HasSuffix(q.Name, ".dead"):
				return nil, fmt.Errorf("queue %q: names that end with .dead are taken by dead letters", q.Name)
			case len(q.Bindings) == 0 || slices.Contains(q.Bindings, ""):
				return nil, fmt.Errorf("queue %q: want at least one binding and none that is empty", q.Name)
			}
			if i := slices.IndexFunc(all, func(o Queue) bool { return o.Name == q.Name }); i >= 0 {
				all[i].Bindings = slices.Concat(all[i].Bindings, q.Bindings)
				continue
			}
			all = append(all, q)
		}
	}
	return all, nil
}

// declarer keeps the first error: with it the broker has closed the channel, so the rest is left out.
type declarer struct {
	ch  *amqp.Channel
	err error
}

func (d *declarer) declareShared(delays []time.Duration) {
	d.declareExchange(EventsExchange, amqp.ExchangeTopic)
	d.declareExchange(RequeueExchange, amqp.ExchangeDirect)
	d.declareExchange(DeadExchange, amqp.ExchangeDirect)
	for _, delay := range delays {
		name := retryName(delay)
		d.declareExchange(name, amqp.ExchangeFanout) // all to the one queue; the routing key stays the name of the queue to go back to
		d.declareQuorumQueue(name, amqp.Table{
			"x-message-ttl":          delay.Milliseconds(),
			"x-dead-letter-exchange": RequeueExchange,
		})
		d.declareBinding(name, "", name)
	}
}

func (d *declarer) declareQueue(q Queue) {
	dead := deadQueueName(q.Name)
	d.declareQuorumQueue(dead, amqp.Table{"x-delivery-limit": int64(deadDeliveryLimit)})
	d.declareBinding(dead, q.Name, DeadExchange)
	d.declareQuorumQueue(q.Name, amqp.Table{
		"x-delivery-limit":          int64(DeliveryLimit),
		"x-dead-letter-exchange":    DeadExchange,
		"x-dead-letter-routing-key": q.Name,
	})
	d.declareBinding(q.Name, q.Name, RequeueExchange)
	for _, topic := range q.Bindings {
		d.declareBinding(q.Name, topic, EventsExchange)
	}
}

func (d *declarer) declareExchange(name, kind string) {
	d.runUnlessFailed("exchange", name, func() error { return d.ch.ExchangeDeclare(name, kind, true, false, false, false, nil) })
}

// declareQuorumQueue declares a quorum queue. If it dead-letters, the broker keeps each message until the target has
// confirmed it (at-least-once needs reject-publish, which without a length limit rejects nothing).
func (d *declarer) declareQuorumQueue(name string, args amqp.Table) {
	args["x-queue-type"] = "quorum"
	if _, deadLetters := args["x-dead-letter-exchange"]; deadLetters {
		args["x-dead-letter-strategy"] = "at-least-once"
		args["x-overflow"] = "reject-publish"
	}
	d.runUnlessFailed("queue", name, func() error {
		_, err := d.ch.QueueDeclare(name, true, false, false, false, args)
		return err
	})
}

func (d *declarer) declareBinding(queue, key, exchange string) {
	d.runUnlessFailed("binding", fmt.Sprintf("%s -> %s (%s)", exchange, queue, key), func() error {
		return d.ch.QueueBind(queue, key, exchange, false, nil)
	})
}

func (d *declarer) runUnlessFailed(kind, name string, f func() error) {
	if d.err != nil {
		return
	}
	if err := f(); err != nil {
		d.err = &DeclareError{Kind: kind, Name: name, Err: err}
	}
}
