// Package event is the envelope of the services' events: CloudEvents 1.0 in structured JSON.
//
// Some attributes are required that CloudEvents leaves optional, because every consumer relies on them: subject (the aggregate's
// id), time, sequence and data. `sequence` is an extension and a JSON number: 1, 2, 3 ... per aggregate, so that a
// consumer can ignore what is older than what it knows. `traceparent` is the distributed tracing extension.
package event

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
)

const (
	// ContentType marks a message as one event with its attributes in the body.
	ContentType = "application/cloudevents+json"

	// MaxSize bounds a marshalled event, in bytes. Events are messages, not files.
	MaxSize = 1 << 20

	specVersion = "1.0"
)

// Reasons why bytes are not an event or an event cannot be marshalled. Errors of this package wrap exactly one of them.
var (
	ErrTooLarge    = errors.New("event is too large")
	ErrSyntax      = errors.New("not a JSON object in UTF-8")
	ErrSpecVersion = errors.New("unsupported specversion")
	ErrMissing     = errors.New("required attribute is missing")
	ErrInvalid     = errors.New("attribute is invalid")
)

// Event is one fact about one aggregate. The zero value is not valid: use New.
type Event struct {
	ID          string          // UUIDv7 from New; 1..64 printable ASCII characters from others. Consumers deduplicate by it.
	Source      string          // the publishing service's name
	Type        string          // what happened, and the routing key: user.deleted.v1
	Subject     string          // the aggregate's id
	Time        time.Time       // UTC
	Sequence    int64           // the aggregate's number of this change, from 1
	TraceParent string          // W3C trace context in which it happened; empty without one
	Data        json.RawMessage // the aggregate's full state after the change; never a secret
}

// New returns an event with a fresh ID, the present time and the trace context of ctx. It marshals data as JSON. It returns
// an error if data cannot be marshalled or the event would be invalid (see Event.Marshal).
func New(ctx context.Context, source, typ, subject string, sequence int64, data any) (Event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Event{}, fmt.Errorf("make the id of event %s: %w", typ, err)
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("marshal the data of event %s: %w", typ, err)
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	e := Event{
		ID:          id.String(),
		Source:      source,
		Type:        typ,
		Subject:     subject,
		Time:        time.Now().UTC().Truncate(time.Microsecond),
		Sequence:    sequence,
		TraceParent: carrier["traceparent"],
		Data:        raw,
	}
	if err := e.validate(); err != nil {
		return Event{}, fmt.Errorf("event %s: %w", typ, err)
	}
	return e, nil
}

// WithTrace returns ctx with the event's trace context, so that handling the event belongs to the trace that caused it.
// Without a valid one it returns ctx.
func (e Event) WithTrace(ctx context.Context) context.Context {
	if e.TraceParent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": e.TraceParent})
}

// ParseTrace returns an Event with only the trace context of an event's JSON, and an empty one if body has none or is not
// JSON.
func ParseTrace(body []byte) Event {
	var named struct {
		TraceParent string `json:"traceparent"`
	}
	if err := json.Unmarshal(body, &named); err != nil {
		return Event{}
	}
	return Event{TraceParent: named.TraceParent}
}

// envelope is the wire format. Marshal writes the fields in this order.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Sequence        int64           `json:"sequence"`
	TraceParent     string          `json:"traceparent,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// Marshal returns the event as structured JSON, which Parse reads as the same event. It returns ErrMissing, ErrInvalid or
// ErrTooLarge.
func (e Event) Marshal() ([]byte, error) {
	if err := e.validate(); err != nil {
		return nil, fmt.Errorf("marshal event %q: %w", e.ID, err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(envelope{
		SpecVersion: specVersion, ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject, Time: e.Time.UTC(),
		DataContentType: "application/json", Sequence: e.Sequence, TraceParent: e.TraceParent, Data: e.Data,
	})
	if err != nil {
		return nil, fmt.Errorf("marshal event %q: %w: %w", e.ID, ErrInvalid, err)
	}
	out := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(out) > MaxSize {
		return nil, fmt.Errorf("marshal event %q: %w: %d bytes, at most %d", e.ID, ErrTooLarge, len(out), MaxSize)
	}
	return out, nil
}

// validate checks what Parse would refuse, so that only events leave that consumers accept.
func (e Event) validate() error {
	for _, a := range []struct {
		name, value string
		limit       int
	}{
		{"id", e.ID, 64}, {"source", e.Source, 255}, {"type", e.Type, 255}, {"subject", e.Subject, 255},
	} {
		switch {
		case a.value == "":
			return fmt.Errorf("%w: %s", ErrMissing, a.name)
		case len(a.value) > a.limit:
			return fmt.Errorf("%w: %s has %d bytes, at most %d", ErrInvalid, a.name, len(a.value), a.limit)
		case !utf8.ValidString(a.value):
			return fmt.Errorf("%w: %s is not UTF-8", ErrInvalid, a.name)
		}
	}
	for _, c := range []byte(e.ID) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("%w: id has characters other than printable ASCII", ErrInvalid)
		}
	}
	switch {
	case e.Time.IsZero():
		return fmt.Errorf("%w: time", ErrMissing)
	case e.Sequence < 1:
		return fmt.Errorf("%w: sequence is %d, at least 1", ErrInvalid, e.Sequence)
	case len(e.Data) == 0 || bytes.Equal(bytes.TrimSpace(e.Data), []byte("null")):
		return fmt.Errorf("%w: data", ErrMissing)
	case !utf8.Valid(e.Data):
		return fmt.Errorf("%w: data is not UTF-8", ErrInvalid)
	}
	return nil
}
