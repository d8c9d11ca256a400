package supervise

import (
	"sync"

	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/processfile"
)

// descriptorsOfQuery is how many descriptors a question to a program opens: its pipes, and those of the start.
const descriptorsOfQuery = 10

// countDescriptors returns how many descriptors the start of a child has open in the manager at the most: of its log, its
// notify socket and its listeners, and those that are closed again.
func countDescriptors(spec processfile.Process) int {
	n := 8 + 2*len(spec.Listeners)
	if spec.Logs.Split {
		n += 4
	}
	return n
}

// startBudget keeps starts from using the descriptors that commands need: they are counted before they are opened.
type startBudget struct {
	check func(more int) error

	mu       sync.Mutex
	pending  int // of the starts under way
	released sync.Cond
}

func newStartBudget() *startBudget {
	b := &startBudget{check: func(more int) error { return keeper.CheckDescriptors("manager", more) }}
	b.released.L = &b.mu
	return b
}

// reserve waits until a start may open n descriptors, as other starts end, and returns an error if they are too many even then.
// The caller calls release when the start has ended.
func (b *startBudget) reserve(n int) (release func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		err := b.check(b.pending + n)
		if err == nil {
			break
		}
		if b.pending == 0 {
			return nil, err
		}
		b.released.Wait()
	}
	b.pending += n
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pending -= n
		b.released.Broadcast()
	}, nil
}
