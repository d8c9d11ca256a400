package state

import (
	"bytes"
	"strings"
	"sync"
)

// The bounds of a tail.
const (
	maxTailBytes = 8 << 10
	maxTailLines = 15
)

// Tail is an io.Writer that remembers the last lines of one process's output. The process's log is no substitute: all
// instances share it.
type Tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

// Write remembers the end of text. It never fails.
func (t *Tail) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, text[max(0, len(text)-maxTailBytes):]...)
	if extra := len(t.text) - maxTailBytes; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(text), nil
}

// Lines returns the last lines; none is an empty slice, not nil.
func (t *Tail) Lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimRight(string(bytes.ToValidUTF8(t.text, []byte("?"))), "\n")
	if text == "" {
		return []string{}
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-maxTailLines):]
}
