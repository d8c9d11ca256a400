package deploy

import (
	"errors"
	"os/exec"
	"testing"

	"pgo/deploy/pgo/internal/watch"
)

func TestJudgeAnswer(t *testing.T) {
	tests := []struct {
		name, script string
		want         string // the error
		isAskedAgain bool
	}{
		{"it lets them run", "exit 0", "", false},
		{"it refuses", "exit 1", "does not let it run: exit status 1: why", false},
		{"it is killed", "kill -9 $$", "does not let it run: signal: killed: why", false},
		{"it cannot tell now", "exit 69", "cannot look at it: exit status 69: why: " + watch.ErrNotNow.Error(), true},
		{"it could not run", "exit 126", "cannot look at it: exit status 126: why: " + watch.ErrNotNow.Error(), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := judgeAnswer(exec.Command("sh", "-c", test.script).Run(), "why")
			message := ""
			if err != nil {
				message = err.Error()
			}
			if message != test.want || errors.Is(err, watch.ErrNotNow) != test.isAskedAgain {
				t.Errorf("got %q, want %q", message, test.want)
			}
		})
	}
}
