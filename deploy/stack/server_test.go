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

// What is not installed is seen in `pgo list`, and is no failure: it is there until it is asked to end.
func TestPartThatIsNotInstalledSaysSo(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	part, ok := monitoring.Find("loki")
	if !ok {
		t.Fatal("Loki is no part of the monitoring")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runPart(ctx, part, checkout.Checkout{}, nil, localserver.Programs{Root: t.TempDir()}) }()
	message := make([]byte, 1000)
	n, err := manager.Read(message)
	if err != nil {
		t.Fatal(err)
	}
	if said := string(message[:n]); !strings.HasPrefix(said, "STATUS=not installed (package ") || !strings.HasSuffix(said, "\nREADY=1") {
		t.Errorf("it says %q", said)
	}
	select {
	case err := <-ended:
		t.Errorf("it has ended: %v", err)
	default:
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
