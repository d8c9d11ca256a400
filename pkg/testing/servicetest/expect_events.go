package servicetest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"pgo/pkg/event"
	"pgo/pkg/testing/testkit"
)

// ExpectedEvent is an event that a test expects. Data is its content, nil for any.
type ExpectedEvent struct {
	Type string
	Data map[string]any
}

// ExpectEvents waits for the events about a subject and fails the test unless they are the wanted ones in their order, of
// the source, numbered without a gap, each with a trace.
func (r *Recorder) ExpectEvents(t testing.TB, source, subject string, want []ExpectedEvent) {
	t.Helper()
	var events []event.Event
	testkit.Eventually(t, "the events", func() error {
		if events, _ = r.EventsAbout(subject); len(events) < len(want) {
			return fmt.Errorf("there are %v", EventTypes(events))
		}
		return nil
	})
	if len(events) != len(want) {
		t.Fatalf("got %v, want %d events", EventTypes(events), len(want))
	}
	for i, e := range events {
		if e.Type != want[i].Type || e.Sequence != int64(i+1) || e.Source != source || uuid.Validate(e.ID) != nil || e.TraceParent == "" {
			t.Errorf("event %d is %s with sequence %d of %s, id %s, trace %q; want %s with %d", i, e.Type, e.Sequence, e.Source, e.ID, e.TraceParent, want[i].Type, i+1)
		}
		var data map[string]any
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		if got, want := Canonical(t, data), Canonical(t, want[i].Data); want != "null" && got != want {
			t.Errorf("event %d %s carries %s\nwant %s", i, e.Type, got, want)
		}
	}
}

// Canonical returns v as JSON, in which an object's fields have one order.
func Canonical(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
