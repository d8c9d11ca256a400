package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/stack/internal/checkout"
)

// An optional part has a row if it is installed, and is named in the row "could be added" if not.
func TestRowsOfOptionalParts(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "loki"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	co := checkout.Checkout{Root: t.TempDir(), Home: t.TempDir()}
	shown := map[string]string{}
	for _, r := range listRows(co, map[string]string{"LOKI_HTTP": "127.0.0.1:3100", "PGO_ENV": "dev"}) {
		if _, twice := shown[r.part]; twice {
			t.Errorf("%s is shown twice", r.part)
		}
		shown[r.part] = r.address
	}
	if shown["Loki"] != "http://127.0.0.1:3100/" {
		t.Errorf("Loki is there and shown at %q", shown["Loki"])
	}
	if absent := shown["could be added"]; !strings.Contains(absent, "jaeger, otelcol-contrib") || strings.Contains(absent, "loki") || !strings.Contains(absent, "docs/monitoring.md") {
		t.Errorf("could be added: %q", absent)
	}
	if _, ok := shown["Jaeger"]; ok {
		t.Error("Jaeger is shown and not there")
	}
}
