package logview

import (
	"strconv"
	"strings"

	"pgo/deploy/pgo/internal/terminal"
)

// timeLayout is the local time of a line, without the date: --json has that.
const timeLayout = "01-02 15:04:05.000"

var levelLabels = [...]struct{ name, color string }{
	levelDebug: {"DEBUG", terminal.Dim}, levelInfo: {"INFO", terminal.Green}, levelWarn: {"WARN", terminal.Yellow},
	levelError: {"ERROR", terminal.Red}, levelFatal: {"FATAL", terminal.Red},
}

// render returns the lines of a record for people: time, level, message and fields, then what has several lines, such as a
// stack trace, indented.
func (r record) render(screen terminal.Screen) []string {
	if !r.isJSON {
		return []string{terminal.EscapeLine(r.message)}
	}
	var head strings.Builder
	if !r.at.IsZero() {
		head.WriteString(screen.Paint(terminal.Dim, r.at.Local().Format(timeLayout)) + " ")
	}
	if r.level != 0 {
		label := levelLabels[r.level]
		head.WriteString(screen.Paint(label.color, label.name) + strings.Repeat(" ", len("ERROR ")-len(label.name)))
	}
	message, rest, _ := strings.Cut(r.message, "\n")
	head.WriteString(terminal.EscapeLine(message))
	blocks := []string{rest}
	for _, f := range r.fields {
		value := formatValue(f.value)
		key := screen.Paint(terminal.Cyan, terminal.EscapeLine(f.key)+"=")
		if strings.Contains(value, "\n") {
			blocks = append(blocks, f.key+":\n"+value)
			continue
		}
		if f.value[0] == '"' && (value == "" || strings.ContainsAny(value, " =\"\t")) {
			value = strconv.Quote(value)
		}
		head.WriteString(" " + key + terminal.EscapeLine(value))
	}
	lines := []string{head.String()}
	for _, block := range blocks {
		for line := range strings.Lines(block) {
			lines = append(lines, "    "+strings.ReplaceAll(terminal.EscapeText(strings.TrimRight(line, "\n")), "\t", "    "))
		}
	}
	return lines
}
