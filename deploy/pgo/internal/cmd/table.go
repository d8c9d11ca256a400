package cmd

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

const headingColor = "1" // bold

// table is text in columns. Its first row is the heading.
type table struct {
	rows   [][]string
	colors []string // ANSI, of each row; none prints without colors
}

func (t *table) addRow(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(w io.Writer) error {
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, cells := range t.rows {
		fmt.Fprintln(columns, strings.Join(cells, "\t"))
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	if t.colors == nil {
		_, err := io.WriteString(w, text.String())
		return err
	}
	for i, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		if _, err := fmt.Fprintf(w, "\x1b[%sm%s\x1b[0m\n", t.colors[i], line); err != nil {
			return err
		}
	}
	return nil
}

// orDash returns text, and - for an empty cell.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// formatMegabytes returns bytes in MB of 1,000,000 bytes.
func formatMegabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
