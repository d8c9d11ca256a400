package cmd

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Each command completes what belongs there, and nothing else.
func TestCompletion(t *testing.T) {
	file := writeCheckout(t, "  web: {command: bin/web, listeners: {http: \"127.0.0.1:0\"}, watch: true}\n  db: {command: x}\n")
	tests := []struct {
		args []string
		want string // the completions, and :4 where no files are offered
	}{
		{[]string{"stop", ""}, "all db web :4"},
		{[]string{"stop", "web", ""}, "all db :4"},
		{[]string{"describe", ""}, "db web :4"},
		{[]string{"describe", "web", ""}, ":4"},
		{[]string{"scale", "web", ""}, ":4"},
		{[]string{"signal", ""}, "SIGCONT SIGHUP SIGINT SIGKILL SIGQUIT SIGSTOP SIGTERM SIGUSR1 SIGUSR2 :4"},
		{[]string{"signal", "SIGHUP", ""}, "all db web :4"},
		{[]string{"exec", ""}, "db web :4"},
		{[]string{"exec", "web", ""}, ":0"},
		{[]string{"deploy", ""}, "web :4"},
		{[]string{"rollback", ""}, "web :4"},
		{[]string{"rollback", "web", ""}, ":4"},
		{[]string{"export", "systemd", ""}, "db web :4"},
		{[]string{"export", ""}, "systemd :4"},
		{[]string{"host", ""}, "doctor recover setup :4"},
		{[]string{"logs", ""}, "all :4"},
		{[]string{"up", ""}, ":4"},
		{[]string{"version", ""}, ":4"},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			code, out := run(t, append([]string{cobra.ShellCompNoDescRequestCmd, "--file", file}, test.args...)...)
			out, _, _ = strings.Cut(out, "Completion ended")
			got := strings.Fields(out)
			slices.SortFunc(got, func(a, b string) int {
				if isFlag, other := strings.HasPrefix(a, ":"), strings.HasPrefix(b, ":"); isFlag != other {
					return map[bool]int{true: 1, false: -1}[isFlag]
				}
				return strings.Compare(a, b)
			})
			if code != 0 || strings.Join(got, " ") != test.want {
				t.Errorf("exit code %d, got %q, want %q", code, got, test.want)
			}
		})
	}
}
