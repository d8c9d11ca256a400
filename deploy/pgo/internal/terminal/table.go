package terminal

import (
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

const (
	columnGap    = "  "
	minLastWidth = 24 // of the last column, before other columns are omitted for it
)

// Table is text in columns, each row on one line. Cells may hold any text of processes.
type Table struct {
	// Optional names the columns that are omitted on a terminal that is too narrow, the first one first.
	Optional []string

	rows   [][]string // the first one is the heading
	colors []string   // of each row
}

// NewTable returns a table with this heading.
func NewTable(heading ...string) *Table {
	return &Table{rows: [][]string{heading}, colors: []string{Bold}}
}

// AddRow adds a row in the default color.
func (t *Table) AddRow(cells ...string) { t.AddColoredRow("", cells...) }

// AddColoredRow adds a row in a color, which is printed only where the screen has colors.
func (t *Table) AddColoredRow(color string, cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = EscapeLine(cell)
	}
	t.rows, t.colors = append(t.rows, row), append(t.colors, color)
}

// Print prints the table for a screen. No line is longer than the screen is wide: optional columns are omitted, then the last
// column is cut.
func (t *Table) Print(w io.Writer, screen Screen) error {
	rows := t.fitRows(screen.Width)
	widths := measureColumns(rows)
	var text strings.Builder
	for n, row := range rows {
		line := strings.TrimRight(joinCells(row, widths), " ")
		if screen.Width > 0 {
			line = runewidth.Truncate(line, screen.Width, "…")
		}
		text.WriteString(screen.Paint(t.colors[n], line))
		text.WriteByte('\n')
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// fitRows returns the rows without the optional columns for which a screen of this width has no room.
func (t *Table) fitRows(width int) [][]string {
	rows := t.rows
	for _, name := range t.Optional {
		if width == 0 || minWidth(measureColumns(rows)) <= width {
			break
		}
		rows = removeColumn(rows, name)
	}
	return rows
}

// minWidth returns the width of a table whose last column is cut to minLastWidth.
func minWidth(widths []int) int {
	sum := min(widths[len(widths)-1], minLastWidth)
	for _, w := range widths[:len(widths)-1] {
		sum += w + len(columnGap)
	}
	return sum
}

func measureColumns(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	return widths
}

func removeColumn(rows [][]string, name string) [][]string {
	index := -1
	for i, heading := range rows[0] {
		if heading == name {
			index = i
		}
	}
	if index < 0 {
		return rows
	}
	var left [][]string
	for _, row := range rows {
		left = append(left, append(append([]string{}, row[:index]...), row[index+1:]...))
	}
	return left
}

func joinCells(row []string, widths []int) string {
	var line strings.Builder
	for i, cell := range row {
		line.WriteString(runewidth.FillRight(cell, widths[i]))
		line.WriteString(columnGap)
	}
	return line.String()
}
