package manager

import (
	"sync/atomic"
	"time"

	"pgo/deploy/pgo/internal/proc"
)

// When memory is released.
const (
	idleBeforeRelease   = 3 * time.Second // after the last command; also between two releases of the pages of the program
	fullReleaseInterval = time.Minute     // for scrapes: to release all memory each time would cost more than the scrape
)

// memoryReleaser returns memory to the system that commands and scrapes have used: docs/benchmarks.md promises how little
// an idle pgo uses.
type memoryReleaser struct {
	own     *proc.OwnMemory
	timer   *time.Timer
	last    atomic.Int64 // when all memory was released
	dropped atomic.Int64 // when the pages of the program were released
	all     atomic.Bool  // all memory is to be released, whenever that was
	due     atomic.Bool  // the timer runs for a scrape
}

// newMemoryReleaser returns a releaser that releases all memory soon.
func newMemoryReleaser() *memoryReleaser {
	s := &memoryReleaser{own: proc.NewOwnMemory()}
	s.all.Store(true)
	s.timer = time.AfterFunc(idleBeforeRelease, s.releaseMemory)
	return s
}

// releaseMemory releases all memory after a command; after scrapes no more than once in fullReleaseInterval, and else only
// the pages of the program.
func (s *memoryReleaser) releaseMemory() {
	s.due.Store(false)
	now := time.Now().UnixNano()
	s.dropped.Store(now)
	if !s.all.Swap(false) && now-s.last.Load() < int64(fullReleaseInterval) {
		s.own.ReleaseProgram()
		return
	}
	s.last.Store(now)
	s.own.ReleaseUnused()
}

// noteCommand is called for every command.
func (s *memoryReleaser) noteCommand() {
	s.all.Store(true)
	s.timer.Reset(idleBeforeRelease)
}

// noteScrape is called after every scrape. It releases at once what it can: to wake up later would cost more.
func (s *memoryReleaser) noteScrape() {
	now, dropped := time.Now().UnixNano(), s.dropped.Load()
	soon := now-dropped < int64(idleBeforeRelease)
	if !soon && s.dropped.CompareAndSwap(dropped, now) {
		s.own.ReleaseProgram()
	}
	if (soon || now-s.last.Load() >= int64(fullReleaseInterval)) && s.due.CompareAndSwap(false, true) {
		s.timer.Reset(idleBeforeRelease)
	}
}

func (s *memoryReleaser) stop() { s.timer.Stop() }
