// Package events receives what the School service consumes from RabbitMQ.
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

// Queue holds what happened to users.
const Queue = "school.events"

// Types of User's events that are consumed.
const (
	userCreated  = "user.created.v1"
	userUpdated  = "user.updated.v1"
	userDisabled = "user.disabled.v1"
	userDeleted  = "user.deleted.v1"
)

// Topology is what bootcheck declares for this service.
func Topology() mq.Topology {
	return mq.Topology{Queues: []mq.Queue{{Name: Queue, Bindings: []string{userCreated, userUpdated, userDisabled, userDeleted}}}}
}

// People is school.People.
type People interface {
	UpdatePerson(ctx context.Context, eventID string, who school.Person) error
	RemovePerson(ctx context.Context, eventID string, who school.Person) (ownerless []string, err error)
}

// NewConsumer returns the consumer of Queue. An event that cannot be read goes to the dead letters.
func NewConsumer(p People, log *zap.Logger) mq.Consumer {
	return mq.Consumer{Queue: Queue, Handler: func(ctx context.Context, d mq.Delivery) error {
		who, err := decodePerson(d.Event)
		if err != nil {
			return mq.Permanent(fmt.Errorf("read %s: %w", d.Event.Type, err))
		}
		switch d.Event.Type {
		case userCreated, userUpdated, userDisabled:
			return p.UpdatePerson(ctx, d.Event.ID, who)
		case userDeleted:
			ownerless, err := p.RemovePerson(ctx, d.Event.ID, who)
			for _, id := range ownerless {
				logging.From(ctx, log).Warn("a school has lost its last owner and has no admin: a platform admin must give it an owner or delete it", zap.String("school_id", id))
			}
			return err
		}
		return nil // a type that an old binding still brings
	}}
}

// decodePerson reads what this service wants of a user's event; other fields may be there.
func decodePerson(e event.Event) (school.Person, error) {
	var data struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return school.Person{}, err
	}
	if id, err := uuid.Parse(data.ID); err != nil || id.String() != data.ID {
		return school.Person{}, errors.New("id is not a user's id")
	}
	if data.ID != e.Subject {
		return school.Person{}, errors.New("its subject is not the user that its data is about")
	}
	return school.Person{UserID: data.ID, Name: data.Name, Sequence: e.Sequence}, nil
}
