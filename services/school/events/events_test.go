package events

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"pgo/pkg/event"
	"pgo/pkg/mq"
	"pgo/services/school"
)

const ada = "0190a000-0000-7000-8000-000000000001"

// heard notes what the consumer says of people.
type heard struct {
	said []string
	err  error
}

func (h *heard) Changed(_ context.Context, _ string, who school.Person) error {
	h.said = append(h.said, "changed "+who.Name)
	return h.err
}

func (h *heard) Deleted(_ context.Context, _ string, who school.Person) ([]string, error) {
	h.said = append(h.said, "deleted "+who.UserID)
	return nil, h.err
}

func TestConsumer(t *testing.T) {
	away := errors.New("away")
	for _, tc := range []struct {
		name, typ, subject, data string
		err                      error
		says                     []string
		permanent                bool
	}{
		{"created", userCreated, ada, `{"id":"` + ada + `","name":"Ada","later":[1]}`, nil, []string{"changed Ada"}, false},
		{"updated", userUpdated, ada, `{"id":"` + ada + `","name":"Ada L."}`, nil, []string{"changed Ada L."}, false},
		{"disabled", userDisabled, ada, `{"id":"` + ada + `","name":"Ada"}`, nil, []string{"changed Ada"}, false},
		{"deleted", userDeleted, ada, `{"id":"` + ada + `"}`, nil, []string{"deleted " + ada}, false},
		{"other type", "user.promoted.v1", ada, `{"id":"` + ada + `"}`, nil, nil, false},
		{"database away", userCreated, ada, `{"id":"` + ada + `","name":"Ada"}`, away, []string{"changed Ada"}, false},
		{"no object", userCreated, ada, `[1]`, nil, nil, true},
		{"no id", userCreated, ada, `{"name":"Ada"}`, nil, nil, true},
		{"id is a number", userCreated, ada, `{"id":5}`, nil, nil, true},
		{"id is no id", userDeleted, "x", `{"id":"x"}`, nil, nil, true},
		{"id in braces", userDeleted, "{" + ada + "}", `{"id":"{` + ada + `}"}`, nil, nil, true},
		{"about another user", userDeleted, uuid.NewString(), `{"id":"` + ada + `"}`, nil, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &heard{err: tc.err}
			err := NewConsumer(h, zap.NewNop()).Handler(t.Context(), mq.Delivery{Event: event.Event{ID: "e", Type: tc.typ, Subject: tc.subject, Sequence: 1, Data: json.RawMessage(tc.data)}})
			if !slices.Equal(h.said, tc.says) || (err != nil) != (tc.permanent || tc.err != nil) || tc.err != nil && !errors.Is(err, tc.err) {
				t.Errorf("says %v, %v", h.said, err)
			}
		})
	}
}

// FuzzDecode looks for data that is taken for a person whom the tables could not have.
func FuzzDecode(f *testing.F) {
	f.Add(ada, `{"id":"`+ada+`","name":"Ada"}`)
	f.Add("x", `{"id":"x"}`)
	f.Add("", `null`)
	f.Fuzz(func(t *testing.T, subject, data string) {
		who, err := decodePerson(event.Event{Type: userCreated, Subject: subject, Sequence: 1, Data: json.RawMessage(data)})
		if err == nil && (who.UserID != subject || uuid.Validate(who.UserID) != nil || len(who.UserID) != 36) {
			t.Errorf("takes %q", who.UserID)
		}
	})
}
