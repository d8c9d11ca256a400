package cmd

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestEndSignals(t *testing.T) {
	tests := []struct {
		args  string
		hupIs bool
	}{
		{"list", true}, {"", true}, {"up", true}, {"up --foreground=false", true}, {"logs -f up", true},
		{"up --foreground", false}, {"--file x up --foreground=true", false}, {"keeper /home", false}, {"manager /home /socket", false},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			if got := EndSignals(strings.Fields(test.args)); slices.Contains(got, os.Signal(syscall.SIGHUP)) != test.hupIs || !slices.Contains(got, os.Signal(syscall.SIGTERM)) {
				t.Errorf("got %v", got)
			}
		})
	}
}
