package event

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Parse reads one event in structured JSON. It is strict about what consumers rely on and ignores unknown attributes, so
// that a publisher may add some. It returns ErrTooLarge, ErrSyntax, ErrSpecVersion, ErrMissing or ErrInvalid; the last two
// name the attribute.
func Parse(b []byte) (Event, error) {
	if len(b) > MaxSize {
		return Event{}, fmt.Errorf("parse event: %w: %d bytes, at most %d", ErrTooLarge, len(b), MaxSize)
	}
	if !utf8.Valid(b) {
		return Event{}, fmt.Errorf("parse event: %w", ErrSyntax)
	}
	// A map and not a struct: encoding/json matches the keys of a struct without regard to case, CloudEvents does not.
	var attrs map[string]json.RawMessage
	if err := json.Unmarshal(b, &attrs); err != nil {
		return Event{}, fmt.Errorf("parse event: %w: %w", ErrSyntax, err)
	}
	if attrs == nil {
		return Event{}, fmt.Errorf("parse event: %w: null", ErrSyntax)
	}

	var version string
	if err := decodeAttribute(attrs, "specversion", &version); err != nil {
		return Event{}, fmt.Errorf("parse event: %w", err)
	}
	if version != specVersion {
		return Event{}, fmt.Errorf("parse event: %w: %.20q, want %q", ErrSpecVersion, version, specVersion)
	}

	var e Event
	for name, target := range map[string]any{
		"id": &e.ID, "source": &e.Source, "type": &e.Type, "subject": &e.Subject,
		"time": &e.Time, "sequence": &e.Sequence, "data": &e.Data,
	} {
		if err := decodeAttribute(attrs, name, target); err != nil {
			return Event{}, fmt.Errorf("parse event: %w", err)
		}
	}
	// Tracing is a help, never a reason to lose an event.
	if raw, ok := attrs["traceparent"]; ok && json.Unmarshal(raw, &e.TraceParent) != nil {
		e.TraceParent = ""
	}
	e.Time = e.Time.UTC()
	if err := e.validate(); err != nil {
		return Event{}, fmt.Errorf("parse event: %w", err)
	}
	return e, nil
}

// decodeAttribute decodes a required attribute into target.
func decodeAttribute(attrs map[string]json.RawMessage, name string, target any) error {
	raw, ok := attrs[name]
	if !ok || string(raw) == "null" {
		return fmt.Errorf("%w: %s", ErrMissing, name)
	}
	if err := json.Unmarshal(raw, target); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInvalid, name, err)
	}
	// Marshal refuses what it cannot write, such as year 10000; Parse must accept only what Marshal can write.
	if at, ok := target.(*time.Time); ok {
		if _, err := at.UTC().MarshalJSON(); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvalid, name, err)
		}
	}
	return nil
}
