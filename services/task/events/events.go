// Package events consumes the events that the Task service needs from RabbitMQ.
package events

import (
	"context"

	"pgo/pkg/mq"
	"pgo/services/task/view"
)

// Queue is the name of the queue that receives School's and User's events.
const Queue = "task.events"

// workers is the number of events that are handled at once. The view accepts events in any order.
const workers = 4

// Topology returns the queues and bindings of this service, which bootcheck declares.
func Topology() mq.Topology {
	return mq.Topology{Queues: []mq.Queue{{Name: Queue, Bindings: view.Topics()}}}
}

// View applies changes. *store.Store implements it.
type View interface {
	// Apply applies the change of an event to the view once, however often it is called for the event.
	Apply(ctx context.Context, consumer, eventID string, change view.Change) error
}

// NewConsumer returns the consumer of Queue. An event that cannot be decoded goes to the dead-letter queue.
func NewConsumer(v View) mq.Consumer {
	return mq.Consumer{Queue: Queue, Workers: workers, Prefetch: 4 * workers, Handler: func(ctx context.Context, d mq.Delivery) error {
		change, err := view.Decode(d.Event)
		if err != nil {
			return mq.MarkPermanent(err)
		}
		if change == nil {
			return nil
		}
		return v.Apply(ctx, Queue, d.Event.ID, change)
	}}
}
