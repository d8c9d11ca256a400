package cmd

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/control"
)

func TestPrintEvent(t *testing.T) {
	event := control.Event{Seq: 7, Time: time.Date(2026, 1, 31, 12, 0, 0, 5e6, time.Local), Process: "web", Instance: 1, PID: 12, To: control.Ready, Reason: "READY=1"}
	line, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	line = append(line, '\n')
	tests := []struct {
		name   string
		line   []byte
		asJSON bool
		want   string
	}{
		{"for people", line, false, "2026-01-31 12:00:00.005  web/1          12      ready       READY=1\n"},
		{"as JSON", line, true, string(line)},
		{"half a line of a full disk", line[:9], false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := printEvent(&out, test.line, test.asJSON); err != nil || out.String() != test.want {
				t.Errorf("%v, got %q, want %q", err, out.String(), test.want)
			}
		})
	}
}
