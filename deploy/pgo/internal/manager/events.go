package manager

import (
	"bytes"
	"encoding/json"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/logfile"
)

// LastEvents returns the last n lines of the history of events, and the number of bytes that were read of the newer file.
func LastEvents(h home.Home, n int) (lines []byte, read int64, err error) {
	lines, read, err = logfile.ReadLast(h.EventsPath(), n, 0)
	if missing := n - bytes.Count(lines, []byte("\n")); err == nil && missing > 0 {
		var earlier []byte
		if earlier, _, err = logfile.ReadLast(h.PreviousEventsPath(), missing, 0); err == nil {
			lines = append(earlier, lines...)
		}
	}
	return lines, read, err
}

// Events returns the last n events, oldest first.
func (m *Manager) Events(n int) ([]control.Event, error) {
	lines, _, err := LastEvents(m.deps.Home, n)
	if err != nil {
		return nil, err
	}
	events := []control.Event{}
	for line := range bytes.Lines(lines) {
		var e control.Event
		if json.Unmarshal(line, &e) == nil { // else half a line, of a disk that was full
			events = append(events, e)
		}
	}
	return events, nil
}
