package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"pgo/pkg/event"
)

const valid = `{"specversion":"1.0","id":"0198c2f0-0000-7000-8000-000000000001","source":"user","type":"user.created.v1",` +
	`"subject":"u1","time":"2026-11-21T10:00:00Z","datacontenttype":"application/json","sequence":3,"data":{"id":"u1"}}`

func TestNewMarshalParse(t *testing.T) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx := trace.ContextWithSpanContext(context.Background(), span)

	data := map[string]any{"name": "Zoë 👩‍🏫 <b> שלום", "n": 1}
	e, err := event.New(ctx, "user", "user.updated.v1", "u1", 7, data)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := uuid.Parse(e.ID); err != nil || id.Version() != 7 {
		t.Errorf("ID %q is not a UUIDv7", e.ID)
	}
	if e.Time.Location() != time.UTC || time.Since(e.Time) > time.Minute {
		t.Errorf("Time is %v, want now in UTC", e.Time)
	}

	b, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := event.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, got); diff != "" {
		t.Errorf("the event changed on its way (-sent +got):\n%s", diff)
	}
	if back := trace.SpanContextFromContext(got.WithTrace(context.Background())); back.TraceID() != span.TraceID() || !back.IsRemote() {
		t.Errorf("trace context is %+v, want that of the publisher", back)
	}

	var wire map[string]any
	if err := json.Unmarshal(b, &wire); err != nil {
		t.Fatal(err)
	}
	if wire["specversion"] != "1.0" || wire["sequence"] != float64(7) || wire["datacontenttype"] != "application/json" {
		t.Errorf("attributes on the wire: %v", wire)
	}
}

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want error // nil: it is an event
	}{
		"valid":                         {valid, nil},
		"unknown attributes":            {strings.Replace(valid, `"sequence"`, `"partitionkey":"p","dataschema":{"a":[1]},"sequence"`, 1), nil},
		"broken traceparent":            {strings.Replace(valid, `"sequence"`, `"traceparent":7,"sequence"`, 1), nil},
		"time with offset":              {strings.Replace(valid, "10:00:00Z", "12:00:00.5+02:00", 1), nil},
		"empty":                         {"", event.ErrSyntax},
		"not JSON":                      {"hello", event.ErrSyntax},
		"cut off":                       {valid[:len(valid)-1], event.ErrSyntax},
		"two values":                    {valid + valid, event.ErrSyntax},
		"array":                         {"[" + valid + "]", event.ErrSyntax},
		"null":                          {"null", event.ErrSyntax},
		"not UTF-8":                     {strings.Replace(valid, `"u1"`, "\"\xff\"", 1), event.ErrSyntax},
		"too large":                     {strings.Replace(valid, `{"id"`, `{"x":"`+strings.Repeat("x", event.MaxSize)+`","id"`, 1), event.ErrTooLarge},
		"no specversion":                {strings.Replace(valid, `"specversion":"1.0",`, "", 1), event.ErrMissing},
		"later specversion":             {strings.Replace(valid, `"1.0"`, `"2.0"`, 1), event.ErrSpecVersion},
		"no id":                         {strings.Replace(valid, `"id":"0198c2f0-0000-7000-8000-000000000001",`, "", 1), event.ErrMissing},
		"empty id":                      {strings.Replace(valid, `0198c2f0-0000-7000-8000-000000000001`, "", 1), event.ErrMissing},
		"id that is not ASCII":          {strings.Replace(valid, `0198c2f0-0000-7000-8000-000000000001`, "é", 1), event.ErrInvalid},
		"id in another case":            {strings.Replace(valid, `"id":"0198`, `"ID":"0198`, 1), event.ErrMissing},
		"number as id":                  {strings.Replace(valid, `"0198c2f0-0000-7000-8000-000000000001"`, "5", 1), event.ErrInvalid},
		"no source":                     {strings.Replace(valid, `"source":"user",`, "", 1), event.ErrMissing},
		"no type":                       {strings.Replace(valid, `"type":"user.created.v1",`, "", 1), event.ErrMissing},
		"type too long for a key":       {strings.Replace(valid, `user.created.v1`, strings.Repeat("a", 256), 1), event.ErrInvalid},
		"no subject":                    {strings.Replace(valid, `"subject":"u1",`, "", 1), event.ErrMissing},
		"no time":                       {strings.Replace(valid, `"time":"2026-11-21T10:00:00Z",`, "", 1), event.ErrMissing},
		"no date":                       {strings.Replace(valid, `2026-11-21T10:00:00Z`, "yesterday", 1), event.ErrInvalid},
		"no sequence":                   {strings.Replace(valid, `"sequence":3,`, "", 1), event.ErrMissing},
		"sequence 0":                    {strings.Replace(valid, `"sequence":3`, `"sequence":0`, 1), event.ErrInvalid},
		"sequence as text":              {strings.Replace(valid, `"sequence":3`, `"sequence":"3"`, 1), event.ErrInvalid},
		"sequence as a fraction":        {strings.Replace(valid, `"sequence":3`, `"sequence":3.5`, 1), event.ErrInvalid},
		"sequence larger than an int64": {strings.Replace(valid, `"sequence":3`, `"sequence":9223372036854775808`, 1), event.ErrInvalid},
		"no data":                       {strings.Replace(valid, `,"data":{"id":"u1"}`, "", 1), event.ErrMissing},
		"null data":                     {strings.Replace(valid, `{"id":"u1"}`, "null", 1), event.ErrMissing},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := event.Parse([]byte(tc.in))
			if !errors.Is(err, tc.want) {
				t.Fatalf("error is %v, want %v", err, tc.want)
			}
			if err == nil && (e.Subject != "u1" || e.Sequence != 3 || string(e.Data) != `{"id":"u1"}`) {
				t.Errorf("event is %+v", e)
			}
		})
	}
}

func TestMarshalRejectsUnparsableEvents(t *testing.T) {
	sound, err := event.Parse([]byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*event.Event)
		want   error
	}{
		"no id":          {func(e *event.Event) { e.ID = "" }, event.ErrMissing},
		"no data":        {func(e *event.Event) { e.Data = nil }, event.ErrMissing},
		"broken data":    {func(e *event.Event) { e.Data = json.RawMessage(`{`) }, event.ErrInvalid},
		"data not UTF-8": {func(e *event.Event) { e.Data = json.RawMessage("\"\xff\"") }, event.ErrInvalid},
		"no sequence":    {func(e *event.Event) { e.Sequence = 0 }, event.ErrInvalid},
		"no time":        {func(e *event.Event) { e.Time = time.Time{} }, event.ErrMissing},
		"too large": {func(e *event.Event) {
			e.Data = json.RawMessage(`"` + strings.Repeat("x", event.MaxSize) + `"`)
		}, event.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			e := sound
			tc.change(&e)
			if _, err := e.Marshal(); !errors.Is(err, tc.want) {
				t.Errorf("error is %v, want %v", err, tc.want)
			}
		})
	}
}

// What Parse takes, Marshal writes and Parse takes again, with the same meaning; nothing panics.
func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte(strings.Replace(valid, `"sequence"`, `"traceparent":"00-01000000000000000000000000000000-0200000000000000-01","sequence"`, 1)))
	f.Add([]byte(`{"specversion":"1.0"}`))
	f.Add([]byte(`{"specversion":null,"id":[1]}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := event.Parse(in)
		if err != nil {
			return
		}
		out, err := e.Marshal()
		if err != nil {
			if errors.Is(err, event.ErrTooLarge) { // the envelope's own attributes were added to one at the limit
				return
			}
			t.Fatalf("parsed but not marshalled: %v", err)
		}
		again, err := event.Parse(out)
		if err != nil {
			t.Fatalf("marshalled but not parsed: %v\n%s", err, out)
		}
		if again.ID != e.ID || again.Sequence != e.Sequence || again.Type != e.Type || !again.Time.Equal(e.Time) {
			t.Fatalf("changed: %+v, then %+v", e, again)
		}
	})
}
