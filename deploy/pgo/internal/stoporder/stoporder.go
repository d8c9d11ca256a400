// Package stoporder decides which processes are stopped before which, and stops them in that order.
package stoporder

import (
	"slices"
	"sync"

	"pgo/deploy/pgo/internal/processfile"
)

// Rank decides when a process is stopped.
type Rank struct {
	Kind  string   // of the process file
	After []string // names of processes
}

// FindDependents returns which processes are stopped before which, for StopInReverse. A process is stopped before those in
// its After. Programs of ours are stopped before all infra that does not itself come after one of them, though they do not
// name it: they come after the gate, which has waited for it, and still use it while they drain.
func FindDependents(ranks map[string]Rank) map[string][]string {
	after := map[string][]string{}
	for name, r := range ranks {
		after[name] = slices.Clone(r.After)
	}
	for name, r := range ranks {
		if r.Kind != processfile.KindInfra || isFrontend(name, ranks) {
			continue
		}
		for other, r := range ranks {
			if r.Kind != processfile.KindInfra {
				after[other] = append(after[other], name)
			}
		}
	}
	return after
}

// isFrontend reports whether a process of kind infra comes after one of another kind, as a gateway does.
func isFrontend(name string, ranks map[string]Rank) bool {
	return slices.ContainsFunc(ranks[name].After, func(before string) bool {
		r, known := ranks[before]
		return known && (r.Kind != processfile.KindInfra || isFrontend(before, ranks))
	})
}

// StopInReverse calls stop for every name of after, each when all that come after it have been stopped, and concurrently
// for those that do not depend on each other. It returns when all are stopped.
func StopInReverse(after map[string][]string, stop func(name string)) {
	done := map[string]chan struct{}{}
	for name := range after {
		done[name] = make(chan struct{})
	}
	var all sync.WaitGroup
	for name := range after {
		all.Go(func() {
			defer close(done[name])
			for dependent, names := range after {
				if slices.Contains(names, name) {
					<-done[dependent]
				}
			}
			stop(name)
		})
	}
	all.Wait()
}
