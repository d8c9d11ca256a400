package manager

import (
	"syscall"
	"testing"
)

func TestParseSignal(t *testing.T) {
	tests := map[string]syscall.Signal{
		"SIGHUP": syscall.SIGHUP, "HUP": syscall.SIGHUP, "hup": syscall.SIGHUP, "sigusr1": syscall.SIGUSR1, "1": syscall.SIGHUP, "64": 64,
		"": 0, "0": 0, "-1": 0, "65": 0, "SIG": 0, "SIGNAL": 0, "1x": 0,
	}
	for text, want := range tests {
		if got, ok := parseSignal(text); ok != (want != 0) || ok && got != want {
			t.Errorf("%q: got %v, %t, want %v", text, got, ok, want)
		}
	}
}
