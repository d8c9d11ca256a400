package home

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever its content was, the file has the last one and nothing of another.
func TestReservedFile(t *testing.T) {
	f := ReservedFile{filepath.Join(t.TempDir(), "state")}
	for _, size := range []int{0, 3, 100, 20, reservedSize - 1, reservedSize, reservedSize + 1, 3 * reservedSize, 5} {
		content := strings.Repeat("x", size)
		if err := f.Replace([]byte(content)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(f.Path)
		if err != nil || string(bytes.TrimRight(text, " ")) != content {
			t.Errorf("%d bytes: read %d, %v", size, len(bytes.TrimRight(text, " ")), err)
		}
	}
}
