// Package events consumes the events that the User service needs from RabbitMQ.
package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"pgo/pkg/mq"
	"pgo/services/user"
)

// MailQueue is the name of the queue that receives mail requests.
const MailQueue = "user.mailer"

// Topology returns the queues and bindings of this service, which bootcheck declares.
func Topology() mq.Topology {
	return mq.Topology{Queues: []mq.Queue{{Name: MailQueue, Bindings: []string{user.EventMailRequested}}}}
}

// Mailer handles mail requests. *user.Mailer implements it.
type Mailer interface {
	Send(ctx context.Context, eventID string, req user.MailRequestedData) error
}

// NewMailConsumer returns the consumer of MailQueue. A request that cannot be decoded, and one
// whose mail is refused for good, goes to the dead-letter queue; any other failure is tried again first.
func NewMailConsumer(m Mailer) mq.Consumer {
	return mq.Consumer{Queue: MailQueue, Handler: func(ctx context.Context, d mq.Delivery) error {
		var req user.MailRequestedData
		if err := json.Unmarshal(d.Event.Data, &req); err != nil {
			return mq.MarkPermanent(fmt.Errorf("decode mail request: %w", err))
		}
		err := m.Send(ctx, d.Event.ID, req)
		if errors.Is(err, user.ErrMailRefused) {
			return mq.MarkPermanent(err)
		}
		return err
	}}
}
