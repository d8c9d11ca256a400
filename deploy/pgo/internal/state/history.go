package state

import (
	"encoding/json"
	"log/slog"
	"os"

	"pgo/deploy/pgo/internal/control"
)

// maxHistory is the size in bytes at which the file of events becomes the earlier one; there are two of them.
const maxHistory = 4 << 20

// History writes events to a file, one JSON object a line. It is not safe for concurrent use.
type History struct {
	path, earlier string
	log           *slog.Logger
	file          *os.File
	size          int64
}

// NewHistory returns a history that appends to path, and renames a full file to earlier. It opens nothing yet.
func NewHistory(path, earlier string, log *slog.Logger) *History {
	return &History{path: path, earlier: earlier, log: log}
}

// Append writes an event. A full disk must not stop a process: then the event is only in pgo's log.
func (h *History) Append(e control.Event) {
	line, err := json.Marshal(e)
	if err == nil {
		err = h.writeLine(append(line, '\n'))
	}
	if err != nil {
		h.log.Warn("write down an event", "error", err)
	}
}

func (h *History) writeLine(line []byte) error {
	if h.file != nil && h.size+int64(len(line)) > maxHistory {
		h.file.Close()
		h.file = nil
		if err := os.Rename(h.path, h.earlier); err != nil {
			return err
		}
	}
	if h.file == nil {
		f, err := os.OpenFile(h.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
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
