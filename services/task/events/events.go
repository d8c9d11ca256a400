// Package events receives what the Task service consumes from RabbitMQ.
package events

import (
	"context"

	"pgo/pkg/mq"
	"pgo/services/task/view"
)

// Queue holds what School and User tell.
const Queue = "task.events"

// workers handle events at once. The view takes them in any order.
const workers = 4

// Topology is what bootcheck declares for this service.
func Topology() mq.Topology {
	return mq.Topology{Queues: []mq.Queue{{Name: Queue, Bindings: view.Topics()}}}
}

// View takes changes.
type View interface {
	// Apply brings a change into the view, once for each event.
	Apply(ctx context.Context, consumer, eventID string, change any) error
}

// NewConsumer returns the consumer of Queue. An event that cannot be read goes to the dead letters.
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
