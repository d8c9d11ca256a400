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

// recorder is a People that records its calls and returns err.
type recorder struct {
	calls []string
	err   error
}

func (r *recorder) UpdatePerson(_ context.Context, _ string, who school.Person) error {
	r.calls = append(r.calls, "changed "+who.Name)
	return r.err
}

func (r *recorder) RemovePerson(_ context.Context, _ string, who school.Person) ([]string, error) {
	r.calls = append(r.calls, "deleted "+who.UserID)
	return nil, r.err
}

func TestConsumer(t *testing.T) {
	unavailable := errors.New("unavailable")
	for _, tc := range []struct {
		name, typ, subject, data string
		err                      error
		calls                    []string
		permanent                bool
	}{
		{"created", userCreated, ada, `{"id":"` + ada + `","name":"Ada","later":[1]}`, nil, []string{"changed Ada"}, false},
		{"updated", userUpdated, ada, `{"id":"` + ada + `","name":"Ada L."}`, nil, []string{"changed Ada L."}, false},
		{"disabled", userDisabled, ada, `{"id":"` + ada + `","name":"Ada"}`, nil, []string{"changed Ada"}, false},
		{"deleted", userDeleted, ada, `{"id":"` + ada + `"}`, nil, []string{"deleted " + ada}, false},
		{"other type", "user.promoted.v1", ada, `{"id":"` + ada + `"}`, nil, nil, false},
		{"database unavailable", userCreated, ada, `{"id":"` + ada + `","name":"Ada"}`, unavailable, []string{"changed Ada"}, false},
		{"not an object", userCreated, ada, `[1]`, nil, nil, true},
		{"no id", userCreated, ada, `{"name":"Ada"}`, nil, nil, true},
		{"id is a number", userCreated, ada, `{"id":5}`, nil, nil, true},
		{"id is not a UUID", userDeleted, "x", `{"id":"x"}`, nil, nil, true},
		{"id in braces", userDeleted, "{" + ada + "}", `{"id":"{` + ada + `}"}`, nil, nil, true},
		{"about another user", userDeleted, uuid.NewString(), `{"id":"` + ada + `"}`, nil, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &recorder{err: tc.err}
			err := NewConsumer(r, zap.NewNop()).Handler(t.Context(), mq.Delivery{Event: event.Event{ID: "e", Type: tc.typ, Subject: tc.subject, Sequence: 1, Data: json.RawMessage(tc.data)}})
			if !slices.Equal(r.calls, tc.calls) || (err != nil) != (tc.permanent || tc.err != nil) || tc.err != nil && !errors.Is(err, tc.err) {
				t.Errorf("got calls %v and error %v, want calls %v and error %v", r.calls, err, tc.calls, tc.err)
			}
		})
	}
}

// FuzzDecode looks for data from which a person is decoded that the tables could not store.
func FuzzDecode(f *testing.F) {
	f.Add(ada, `{"id":"`+ada+`","name":"Ada"}`)
	f.Add("x", `{"id":"x"}`)
	f.Add("", `null`)
	f.Fuzz(func(t *testing.T, subject, data string) {
		who, err := decodePerson(event.Event{Type: userCreated, Subject: subject, Sequence: 1, Data: json.RawMessage(data)})
		if err == nil && (who.UserID != subject || uuid.Validate(who.UserID) != nil || len(who.UserID) != 36) {
			t.Errorf("accepted user id %q", who.UserID)
		}
	})
}
