package logview

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"pgo/deploy/pgo/internal/terminal"
)

// Printer prints lines of several logs, whole, each with the prefix of its log. On a terminal JSON lines are printed for people
// and control characters are spelled out; elsewhere, lines are printed as they are. It is safe for concurrent use.
type Printer struct {
	out      io.Writer
	screen   terminal.Screen
	isRaw    bool // no line is printed for people
	prefixes map[string]string
	mu       sync.Mutex
}

// NewPrinter returns a printer for the selected names of the known logs. With isRaw JSON lines stay JSON on a terminal too.
func NewPrinter(out io.Writer, screen terminal.Screen, isRaw bool, known, names []string) *Printer {
	return &Printer{out: out, screen: screen, isRaw: isRaw, prefixes: formatPrefixes(known, names, screen.HasColors)}
}

func (p *Printer) printLine(name string, line []byte) error {
	line = bytes.TrimSuffix(line, []byte("\n"))
	lines := []string{string(line)}
	switch {
	case p.screen.IsTerminal && p.isRaw && bytes.HasPrefix(line, []byte("{")):
		lines[0] = terminal.EscapeLine(string(terminal.EscapeJSON(line)))
	case p.screen.IsTerminal && p.isRaw:
		lines[0] = terminal.EscapeLine(lines[0])
	case p.screen.IsTerminal:
		lines = parseRecord(line).render(p.screen)
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(p.prefixes[name] + l + "\n")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := io.WriteString(p.out, text.String())
	return err
}

// palette has the colors that are legible on a light and on a dark background.
var palette = []string{"36", "33", "32", "35", "34", "31", "96", "95"}

// formatPrefixes returns the prefix of each log's lines, none where there is only one log. With colors each log has its
// own, the same one as long as the known logs stay the same.
func formatPrefixes(known, names []string, colors bool) map[string]string {
	prefixes := map[string]string{}
	if len(names) < 2 {
		return prefixes
	}
	for _, name := range names {
		label := fmt.Sprintf("%-12s |", terminal.EscapeLine(name))
		prefixes[name] = terminal.Screen{HasColors: colors}.Paint(palette[slices.Index(known, name)%len(palette)], label) + " "
	}
	return prefixes
}
