package audit

import (
	"errors"
	"fmt"
	"slices"
)

// ErrNoPrevious is the error where a deploy cannot be undone since a process ran nothing before it.
var ErrNoPrevious = errors.New("ran nothing before: there is nothing to go back to")

// PlanUndo returns what leads back to before the last deploy that runs now, as runs says of each of its changes; nil where
// none does. The error is ErrNoPrevious where there is no way back.
func (l Log) PlanUndo(runs func(Change) bool) ([]Change, error) {
	all, err := l.List()
	if err != nil {
		return nil, err
	}
	left := func(c Change) bool { return !runs(c) }
	for _, e := range all {
		if e.Kind != KindDeploy || e.Result != Done || len(e.Changes) == 0 || slices.ContainsFunc(e.Changes, left) {
			continue
		}
		set := []Change{}
		for _, c := range e.Changes {
			if c.From.SHA256 == "" {
				return nil, fmt.Errorf("%s %w", c.Process, ErrNoPrevious)
			}
			if c.From.SHA256 != c.To.SHA256 {
				set = append(set, Change{Process: c.Process, To: c.From})
			}
		}
		return set, nil
	}
	return nil, nil
}
