package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"pgo/pkg/mq"
)

// deadLetterSummary is a dead letter as list --json shows it. It holds none of the event's data, which may be personal.
type deadLetterSummary struct {
	ID          string     `json:"id"`
	Queue       string     `json:"queue"`
	Type        string     `json:"type"` // empty if the content is not an event
	Source      string     `json:"source,omitempty"`
	Subject     string     `json:"subject,omitempty"`
	Sequence    int64      `json:"sequence,omitempty"`
	Time        *time.Time `json:"time,omitempty"`
	Attempts    int        `json:"attempts"`
	Reason      string     `json:"reason"`
	FirstFailed *time.Time `json:"first_failed_at"`
	LastFailed  *time.Time `json:"last_failed_at"`
	Exchange    string     `json:"exchange"`
	RoutingKey  string     `json:"routing_key"`
	Bytes       int        `json:"bytes"`
}

func summarize(l mq.DeadLetter) deadLetterSummary {
	return deadLetterSummary{
		ID: l.ID, Queue: l.Queue, Type: l.Event.Type, Source: l.Event.Source, Subject: l.Event.Subject, Sequence: l.Event.Sequence, Time: optionalTime(l.Event.Time),
		Attempts: l.Attempts, Reason: l.Reason, FirstFailed: optionalTime(l.FirstFailed), LastFailed: optionalTime(l.LastFailed),
		Exchange: l.Exchange, RoutingKey: l.RoutingKey, Bytes: l.Size,
	}
}

// optionalTime returns nil for an unknown time.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// deadLetterDetail is a dead letter as show shows it. Its content takes one of three forms.
type deadLetterDetail struct {
	deadLetterSummary
	ContentType string          `json:"content_type"`
	JSON        json.RawMessage `json:"content,omitempty"`
	Text        string          `json:"content_text,omitempty"`
	Binary      []byte          `json:"content_base64,omitempty"`
}

func newDeadLetterDetail(l mq.DeadLetter) deadLetterDetail {
	w := deadLetterDetail{deadLetterSummary: summarize(l), ContentType: l.ContentType}
	switch {
	case json.Valid(l.Body) && utf8.Valid(l.Body):
		w.JSON = l.Body
	case utf8.Valid(l.Body):
		w.Text = string(l.Body)
	default:
		w.Binary = l.Body
	}
	return w
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func writeTable(w io.Writer, all []deadLetterSummary) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no dead letters")
		return err
	}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tTYPE\tQUEUE\tATTEMPTS\tFAILED\tREASON")
	for _, l := range all {
		failed := "unknown"
		if l.LastFailed != nil {
			failed = l.LastFailed.UTC().Format(time.DateTime + "Z")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", l.ID, describeType(l.Type), l.Queue, l.Attempts, failed, toPrintable(l.Reason, 120))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := w.Write(text.Bytes())
	return err
}

func describeType(typ string) string {
	if typ == "" {
		return "(no event)"
	}
	return toPrintable(typ, 60)
}

// toPrintable returns s on one line of at most n characters, without what a terminal would obey: any client may have written it.
func toPrintable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(s); len(runes) > n {
		s = string(runes[:n-1]) + "…"
	}
	return s
}
