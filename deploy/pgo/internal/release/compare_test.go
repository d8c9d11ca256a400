package release

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestEqualContent(t *testing.T) {
	elf := "\x7fELF" + string(make([]byte, 600<<10))
	tests := []struct {
		name, running, file string
		want                bool
	}{
		{"the same", elf, elf, true},
		{"another size", elf, elf + "x", false},
		{"the last byte", elf, elf[:len(elf)-1] + "x", false},
		{"a script, of which the interpreter runs", elf, "#!/bin/sh\n", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			running, file := filepath.Join(dir, "running"), filepath.Join(dir, "file")
			if err := errors.Join(os.WriteFile(running, []byte(test.running), 0o600), os.WriteFile(file, []byte(test.file), 0o600)); err != nil {
				t.Fatal(err)
			}
			if got, err := EqualContent(running, file); got != test.want || err != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	if _, err := EqualContent(filepath.Join(t.TempDir(), "none"), os.Args[0]); err == nil {
		t.Error("a file that is missing is compared")
	}
}
