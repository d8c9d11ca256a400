package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/monitoring"
	"pgo/pkg/testing/localserver"
)

// A part that is not installed shows in `pgo list` and is not a failure: its process waits until it is stopped.
func TestMissingPartReportsAndWaits(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	part, ok := monitoring.Find("loki")
	if !ok {
		t.Fatal("Loki is not a part of the monitoring")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runPart(ctx, part, checkout.Checkout{}, nil, localserver.Programs{Root: t.TempDir()}) }()
	message := make([]byte, 1000)
	n, err := manager.Read(message)
	if err != nil {
		t.Fatal(err)
	}
	if state := string(message[:n]); !strings.HasPrefix(state, "STATUS=not installed (package ") || !strings.HasSuffix(state, "\nREADY=1") {
		t.Errorf("it notifies %q", state)
	}
	select {
	case err := <-ended:
		t.Errorf("it returned early: %v", err)
	default:
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
