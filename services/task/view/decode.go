package view

import (
	"encoding/json"
	"fmt"
	"time"

	"pgo/pkg/event"
)

// Topics returns the patterns of the event types that make up the view.
func Topics() []string {
	return []string{"user.created.v1", "user.updated.v1", "user.disabled.v1", "user.deleted.v1", "school.*.v1", "class.*.v1"}
}

// eventData holds the fields of an event's data that this service reads. Other fields are ignored.
type eventData struct {
	ID       string `json:"id"`
	SchoolID string `json:"school_id"`
	ClassID  string `json:"class_id"`
	UserID   string `json:"user_id"`
	Role     string `json:"role"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	Timezone string `json:"timezone"`
	// ArchivedAt is nil for what is not archived, and in events of releases that did not archive.
	ArchivedAt *time.Time `json:"archived_at"`
}

// Decode returns the change that an event describes, or nil if this service does not know the event's type. It returns an
// error if the data is invalid, so that a retry would fail too.
func Decode(e event.Event) (Change, error) {
	decode, ok := decoders[e.Type]
	if !ok {
		return nil, nil // a type that a publisher has added
	}
	var d eventData
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return nil, fmt.Errorf("decode %s event: %w", e.Type, err)
	}
	change := decode(d, e.Sequence)
	if err := change.Validate(); err != nil {
		return nil, fmt.Errorf("decode %s event: %w", e.Type, err)
	}
	if change.AggregateID() != e.Subject {
		return nil, fmt.Errorf("decode %s event: its subject is not the id in its data", e.Type)
	}
	return change, nil
}

// decoders return the change that an event's data and sequence describe, by event type.
var decoders = map[string]func(d eventData, sequence int64) Change{
	"user.created.v1":  decodePerson(false),
	"user.updated.v1":  decodePerson(false),
	"user.disabled.v1": decodePerson(false),
	"user.deleted.v1":  decodePerson(true),

	"school.created.v1": decodeSchool(false),
	"school.updated.v1": decodeSchool(false),
	"school.deleted.v1": decodeSchool(true),

	"school.member_added.v1":   decodeMember(false),
	"school.member_changed.v1": decodeMember(false),
	"school.member_removed.v1": decodeMember(true),

	"class.created.v1": decodeClass(false),
	"class.updated.v1": decodeClass(false),
	"class.deleted.v1": decodeClass(true),

	"class.member_added.v1":   decodeClassMember(false),
	"class.member_removed.v1": decodeClassMember(true),
}

func decodePerson(deleted bool) func(eventData, int64) Change {
	return func(d eventData, sequence int64) Change {
		if deleted {
			return Person{ID: d.ID, Deleted: true, Sequence: sequence}
		}
		return Person{ID: d.ID, Name: d.Name, Email: d.Email, Sequence: sequence}
	}
}

func decodeSchool(deleted bool) func(eventData, int64) Change {
	return func(d eventData, sequence int64) Change {
		if deleted {
			return School{ID: d.ID, Deleted: true, Sequence: sequence}
		}
		return School{ID: d.ID, Name: d.Name, Timezone: d.Timezone, Archived: d.ArchivedAt != nil, Sequence: sequence}
	}
}

func decodeMember(removed bool) func(eventData, int64) Change {
	return func(d eventData, sequence int64) Change {
		return Member{SchoolID: d.SchoolID, UserID: d.UserID, Role: d.Role, Removed: removed, Sequence: sequence}
	}
}

func decodeClass(deleted bool) func(eventData, int64) Change {
	return func(d eventData, sequence int64) Change {
		return Class{ID: d.ID, SchoolID: d.SchoolID, Name: d.Name, Archived: d.ArchivedAt != nil, Deleted: deleted, Sequence: sequence}
	}
}

func decodeClassMember(removed bool) func(eventData, int64) Change {
	return func(d eventData, sequence int64) Change {
		return ClassMember{ClassID: d.ClassID, SchoolID: d.SchoolID, UserID: d.UserID, Role: d.Role, Removed: removed, Sequence: sequence}
	}
}
