package manager

import (
	"slices"
	"sync"

	"pgo/deploy/pgo/internal/processfile"
)

// rank is what the order of stopping comes from.
type rank struct {
	kind  string
	after []string
}

// dependents returns who has to be stopped before whom, for inReverse: who says so in after, and before infra that does
// not itself come after a program of ours all programs of ours, though they do not name it. They come after the gate,
// which has waited for it, and still use it while they drain.
func dependents(ranks map[string]rank) map[string][]string {
	after := map[string][]string{}
	for name, r := range ranks {
		after[name] = slices.Clone(r.after)
	}
	for name, r := range ranks {
		if r.kind != processfile.KindInfra || inFront(name, ranks) {
			continue
		}
		for other, r := range ranks {
			if r.kind != processfile.KindInfra {
				after[other] = append(after[other], name)
			}
		}
	}
	return after
}

// inFront tells whether a process comes after one that is no infra, as a gateway does.
func inFront(name string, ranks map[string]rank) bool {
	return slices.ContainsFunc(ranks[name].after, func(before string) bool {
		r, known := ranks[before]
		return known && (r.kind != processfile.KindInfra || inFront(before, ranks))
	})
}

// inReverse calls stop for every name of after, each when all that come after it have been stopped; those that do not
// depend on each other at the same time. It returns when all are.
func inReverse(after map[string][]string, stop func(name string)) {
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
