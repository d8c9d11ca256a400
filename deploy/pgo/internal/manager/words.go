package manager

import (
	"bytes"
	"strings"
	"sync"
)

// mostWords bounds what is remembered of one process's output.
const (
	mostWords = 8 << 10
	lastLines = 15
)

// words are the last that a process said: of this one alone, while its log is shared with others of its name.
type words struct {
	mu   sync.Mutex
	text []byte
}

// Write remembers the end of text.
func (w *words) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text[max(0, len(text)-mostWords):]...)
	if extra := len(w.text) - mostWords; extra > 0 {
		w.text = append(w.text[:0], w.text[extra:]...)
	}
	return len(text), nil
}

// lines returns the last lines.
func (w *words) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.TrimRight(string(bytes.ToValidUTF8(w.text, []byte("?"))), "\n")
	if text == "" {
		return []string{}
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-lastLines):]
}
