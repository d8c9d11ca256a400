package processfile

import (
	"fmt"
	"path/filepath"
)

// Parse reads a process file that is not written yet. It returns what Load would for a file with this content at path.
func Parse(path string, content []byte, lookup func(string) (string, bool)) (File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return File{}, fmt.Errorf("find the process file: %w", err)
	}
	return parseContent(path, abs, content, lookup)
}
