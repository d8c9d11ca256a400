package receive

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/ship/wire"
)

func TestChangesOf(t *testing.T) {
	sum, current := strings.Repeat("a", 64), audit.Release{SHA256: strings.Repeat("c", 64), Version: "1"}
	deployables := []control.Deployable{{Name: "user", Current: current}, {Name: "task"}}
	user := wire.Program{Process: "user", SHA256: sum, Size: 10}
	change := audit.Change{Process: "user", From: current, To: audit.Release{SHA256: sum}}
	tests := []struct {
		name string
		set  []wire.Program
		want []audit.Change
		err  string
	}{
		{name: "none"},
		{name: "one", set: []wire.Program{user}, want: []audit.Change{change}},
		{name: "the first release of a process", set: []wire.Program{{Process: "task", SHA256: sum}}, want: []audit.Change{{Process: "task", To: audit.Release{SHA256: sum}}}},
		{name: "the largest", set: []wire.Program{{Process: "user", SHA256: sum, Size: maxProgramSize}}, want: []audit.Change{change}},
		{name: "an unknown process", set: []wire.Program{user, {Process: "school", SHA256: sum}}, want: []audit.Change{change}, err: `"school"`},
		{name: "a path as process", set: []wire.Program{{Process: "../user", SHA256: sum}}, err: `"../user"`},
		{name: "not a SHA-256", set: []wire.Program{{Process: "user", SHA256: "../../etc/passwd"}}, err: `"user"`},
		{name: "upper case", set: []wire.Program{{Process: "user", SHA256: strings.ToUpper(sum)}}, err: `"user"`},
		{name: "a negative size", set: []wire.Program{{Process: "user", SHA256: sum, Size: -1}}, err: "-1 bytes"},
		{name: "too large", set: []wire.Program{{Process: "user", SHA256: sum, Size: maxProgramSize + 1}}, err: "2147483649 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := changesOf(wire.Plan{Set: test.set}, deployables)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if test.err == "" && err != nil || test.err != "" && (!errors.Is(err, wire.ErrProtocol) || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("the error is %v, want %q", err, test.err)
			}
		})
	}
}
