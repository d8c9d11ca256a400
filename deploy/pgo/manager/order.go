package manager

import (
	"slices"
	"sync"
)

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
