// Package terminal prints text on terminals: safely, whatever bytes processes put into it, within the width of the screen, and
// with colors where they are wanted.
package terminal

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// Colors, as parameters of ANSI sequences.
const (
	Bold   = "1"
	Dim    = "2"
	Red    = "31"
	Green  = "32"
	Yellow = "33"
	Cyan   = "36"
)

// Screen describes where text is printed. The zero value is a file or a pipe.
type Screen struct {
	IsTerminal bool
	HasColors  bool
	Width      int // in columns; 0 without a limit
}

// DetectScreen describes the writer. A terminal has colors unless NO_COLOR is set or TERM is dumb.
func DetectScreen(w io.Writer, getenv func(string) string) Screen {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return Screen{}
	}
	s := Screen{IsTerminal: true, HasColors: getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		s.Width = width // some terminals report 0, which is no limit
	}
	return s
}

// Paint returns text in a color where the screen has colors.
func (s Screen) Paint(color, text string) string {
	if !s.HasColors || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// FormatMegabytes returns bytes in MB of 1,000,000 bytes.
func FormatMegabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// FormatDuration returns a duration in its two largest units, such as 3h12m or 5d3h.
func FormatDuration(d time.Duration) string {
	days, hours, minutes, seconds := d/(24*time.Hour), d/time.Hour%24, d/time.Minute%60, d/time.Second%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%ds", minutes, seconds)
	default:
		return fmt.Sprintf("%ds", seconds)
	}
}
