// Package events consumes the events that the School service needs from RabbitMQ.
package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"pgo/pkg/event"
	"pgo/pkg/logging"
	"pgo/pkg/mq"
	"pgo/services/school"
)

// Queue is the name of the queue that receives User's events.
const Queue = "school.events"

// Types of User's events that are consumed.
const (
	userCreated  = "user.created.v1"
	userUpdated  = "user.updated.v1"
	userDisabled = "user.disabled.v1"
	userDeleted  = "user.deleted.v1"
)

// Topology returns the queues and bindings of this service, which bootcheck declares.
func Topology() mq.Topology {
	return mq.Topology{Queues: []mq.Queue{{Name: Queue, Bindings: []string{userCreated, userUpdated, userDisabled, userDeleted}}}}
}

// People handles User's events. *school.People implements it.
type People interface {
	UpdatePerson(ctx context.Context, eventID string, who school.Person) error
	RemovePerson(ctx context.Context, eventID string, who school.Person) (ownerless []string, err error)
}

// NewConsumer returns the consumer of Queue. An event that cannot be decoded goes to the dead-letter queue.
func NewConsumer(p People, log *zap.Logger) mq.Consumer {
	return mq.Consumer{Queue: Queue, Handler: func(ctx context.Context, d mq.Delivery) error {
		who, err := decodePerson(d.Event)
		if err != nil {
			return mq.MarkPermanent(fmt.Errorf("decode %s event: %w", d.Event.Type, err))
		}
		switch d.Event.Type {
		case userCreated, userUpdated, userDisabled:
			return p.UpdatePerson(ctx, d.Event.ID, who)
		case userDeleted:
			ownerless, err := p.RemovePerson(ctx, d.Event.ID, who)
			for _, id := range ownerless {
				logging.FromContext(ctx, log).Warn("a school has lost its last owner and has no admin: a platform admin must give it an owner or delete it", zap.String("school_id", id))
			}
			return err
		}
		return nil // an event type that an old binding still delivers
	}}
}

// decodePerson decodes the fields of a user's event that this service needs. It ignores other fields, and returns an
// error if the id is not a UUID or is not the event's subject.
func decodePerson(e event.Event) (school.Person, error) {
	var data struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return school.Person{}, err
	}
	if id, err := uuid.Parse(data.ID); err != nil || id.String() != data.ID {
		return school.Person{}, errors.New("the event's data has an id that is not a user id")
	}
	if data.ID != e.Subject {
		return school.Person{}, errors.New("the event's subject is not the id in its data")
	}
	return school.Person{UserID: data.ID, Name: data.Name, Sequence: e.Sequence}, nil
}
