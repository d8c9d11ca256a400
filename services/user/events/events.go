// Package events receives what the User service consumes from RabbitMQ.
package events

import (
	"context"
	"encoding/json"
	"fmt"

	"pgo/pkg/mq"
	"pgo/services/user"
)

// MailQueue holds the requests for mail.
const MailQueue = "user.mailer"

// Topology is what bootcheck declares for this service.
func Topology() mq.Topology {
	return mq.Topology{Queues: []mq.Queue{{Name: MailQueue, Bindings: []string{user.EventMailRequested}}}}
}

// Mailer is user.Mailer.
type Mailer interface {
	Send(ctx context.Context, eventID string, req user.MailRequestedData) error
}

// NewMailConsumer returns the consumer of MailQueue. A request that cannot be read goes to the dead letters.
func NewMailConsumer(m Mailer) mq.Consumer {
	return mq.Consumer{Queue: MailQueue, Handler: func(ctx context.Context, d mq.Delivery) error {
		var req user.MailRequestedData
		if err := json.Unmarshal(d.Event.Data, &req); err != nil {
			return mq.Permanent(fmt.Errorf("read mail request: %w", err))
		}
		return m.Send(ctx, d.Event.ID, req)
	}}
}
