package audit

import (
	"errors"
	"fmt"
	"slices"
)

// ErrNoPrevious is returned when a deploy cannot be undone because a process ran no release before it.
var ErrNoPrevious = errors.New("ran nothing before: there is nothing to roll back to")

// PlanUndo returns the changes that undo the last deploy whose releases all run now, as runs reports for each change. It
// returns nil if there is no such deploy, and ErrNoPrevious if a process of it had no release before.
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
