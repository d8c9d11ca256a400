package buildinfo_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"pgo/pkg/buildinfo"
)

func TestInfo(t *testing.T) {
	info := buildinfo.Read(3)
	if info.Version == "" || info.Commit == "" || info.Go != runtime.Version() || info.OS != runtime.GOOS || info.Arch != runtime.GOARCH || info.SchemaVersion != 3 {
		t.Errorf("got %+v", info)
	}
	var text bytes.Buffer
	if err := info.Write(&text, true); err != nil {
		t.Fatal(err)
	}
	var back buildinfo.Info
	if err := json.Unmarshal(text.Bytes(), &back); err != nil || back != info {
		t.Errorf("JSON gives %+v, %v", back, err)
	}
	text.Reset()
	if err := info.Write(&text, false); err != nil || strings.Count(text.String(), "\n") != 1 || !strings.Contains(text.String(), "schema 3") {
		t.Errorf("text is %q, %v", &text, err)
	}
}
