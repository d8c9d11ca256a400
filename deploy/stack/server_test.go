package main

import (
	"strings"
	"testing"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/monitoring"
	"pgo/pkg/testing/localserver"
)

func TestMissingPartIsRefused(t *testing.T) {
	part, ok := monitoring.Find("loki")
	if !ok {
		t.Fatal("Loki is not a part of the monitoring")
	}
	err := runPart(part, checkout.Checkout{}, nil, localserver.Programs{Root: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "loki is not installed (package loki)") {
		t.Errorf("error %v", err)
	}
}
