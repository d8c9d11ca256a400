package manager

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/logfile"
)

// mostHistory is how large the file of events grows before it becomes the earlier one; there are two of them.
const mostHistory = 4 << 20

// history writes events down, one JSON object a line.
type history struct {
	home home.Home
	log  *slog.Logger
	file *os.File
	size int64
}

// LastEvents returns the last n lines that were written down, and how far it has read in the newer file.
func LastEvents(h home.Home, n int) (lines []byte, read int64, err error) {
	lines, read, err = logfile.Last(h.Events(), n, 0)
	if missing := n - bytes.Count(lines, []byte("\n")); err == nil && missing > 0 {
		var earlier []byte
		if earlier, _, err = logfile.Last(h.EarlierEvents(), missing, 0); err == nil {
			lines = append(earlier, lines...)
		}
	}
	return lines, read, err
}

// add appends an event. A disk that is full must not stop a process: then the event is only in pgo's log.
func (h *history) add(e control.Event) {
	line, err := json.Marshal(e)
	if err == nil {
		err = h.write(append(line, '\n'))
	}
	if err != nil {
		h.log.Warn("write down an event", "error", err)
	}
}

func (h *history) write(line []byte) error {
	if h.file != nil && h.size+int64(len(line)) > mostHistory {
		h.file.Close()
		h.file = nil
		if err := os.Rename(h.home.Events(), h.home.EarlierEvents()); err != nil {
			return err
		}
	}
	if h.file == nil {
		f, err := os.OpenFile(h.home.Events(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return err
		}
		h.file, h.size = f, info.Size()
	}
	n, err := h.file.Write(line)
	h.size += int64(n)
	return err
}
