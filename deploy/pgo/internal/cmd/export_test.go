package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"pgo/deploy/pgo/internal/systemd"
)

func TestWriteUnits(t *testing.T) {
	units := []systemd.Unit{{Name: "a.service", Content: "[Unit]\n"}, {Name: "b.service", Content: "[Service]\n"}}
	var out bytes.Buffer
	if err := writeUnits(&out, "", units); err != nil || out.String() != "# a.service\n[Unit]\n\n# b.service\n[Service]\n" {
		t.Errorf("printed: %v, %q", err, out.String())
	}
	dir := t.TempDir()
	out.Reset()
	path := filepath.Join(dir, "b.service")
	if err := writeUnits(&out, dir, units); err != nil || out.String() != filepath.Join(dir, "a.service")+"\n"+path+"\n" {
		t.Errorf("written: %v, %q", err, out.String())
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "[Service]\n" {
		t.Errorf("%v, %q", err, content)
	}
	if err := writeUnits(&out, filepath.Join(dir, "missing"), units); err == nil {
		t.Error("units were written into a directory that does not exist")
	}
}
