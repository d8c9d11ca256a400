//go:build faults

package e2e

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// faultRun is one fault under load.
type faultRun struct {
	s      *stack
	cast   *faultCast
	db     *sql.DB
	fault  fault
	prefix string // of the keys of everything that is written
	ledger *faultLedger
	// handled has the positions up to which all events were handled before.
	handled outboxPositions
	ahead   string // path of a program whose clock is ahead
}

// run makes requests, injects the fault, waits until the stack has recovered, and compares the databases with what was
// acknowledged.
func (r *faultRun) run(t *testing.T) faultReport {
	if r.fault.prepare != nil {
		r.fault.prepare(t, r)
	}
	r.cast.signIn(t, r.s)
	r.drain(t)
	r.handled = r.readPositions(t)
	load := startFaultLoad(t, r)
	usual := r.observeDelays(load, *faultsCalm)
	r.fault.inject(t, r)
	recovery, hasRecovered := r.awaitRecovery(t, load, time.Now(), usual)
	load.stop()
	r.drain(t)
	report := load.report()
	report.recovery, report.hasRecovered = recovery, hasRecovered
	r.audit(t, &report)
	r.checkStatuses(t, load)
	if report.skipped > 0 {
		t.Logf("%d requests were not made: this process had no processor for a second, or %d waited for their answers already", report.skipped, maxFaultCalls)
	}
	t.Logf("%d requests, %d acknowledged writes, %d lost, %d doubled, recovered after %.1f s, answers %s",
		report.requests, report.acknowledged, report.lost, report.repeated, report.recovery.Seconds(), formatStatuses(report.statuses))
	return report
}

// hold lets the load run for a while.
func (r *faultRun) hold(d time.Duration) { time.Sleep(d) }

// delays are how long the oldest event has waited to be handled, and the oldest request for its answer.
type delays struct{ event, call time.Duration }

// measureDelays returns the delays of this moment. It returns an error if the databases cannot be read.
func (r *faultRun) measureDelays(load *faultLoad) (delays, error) {
	_, age, err := countPending(r.db, r.handled)
	return delays{age, load.oldestCall(time.Now())}, err
}

// observeDelays lets the load run for a while, and returns the longest delays that are usual on this machine: those that it has seen,
// doubled, and at least 2 s for events and 5 s for requests.
func (r *faultRun) observeDelays(load *faultLoad, d time.Duration) delays {
	usual := delays{2 * time.Second, 5 * time.Second}
	for began := time.Now(); time.Since(began) < d; time.Sleep(500 * time.Millisecond) {
		if seen, err := r.measureDelays(load); err == nil {
			usual = delays{max(usual.event, 2*seen.event), max(usual.call, 2*seen.call)}
		}
	}
	return usual
}

// awaitRecovery returns how long after the fault's end the last request was made that failed, or the last delay was longer than
// usual. It reports false if that goes on.
func (r *faultRun) awaitRecovery(t *testing.T, load *faultLoad, end time.Time, usual delays) (time.Duration, bool) {
	t.Helper()
	lastTrouble, reason := end, ""
	for ; ; time.Sleep(500 * time.Millisecond) {
		seen, err := r.measureDelays(load)
		now := time.Now()
		if err != nil || seen.event > usual.event || seen.call > usual.call {
			lastTrouble, reason = now, fmt.Sprintf("delays of %+v where %+v are usual, %v", seen, usual, err)
		}
		if failed := load.lastFailure(); failed.After(lastTrouble) {
			lastTrouble, reason = failed, "a request failed"
		}
		if now.Sub(lastTrouble) >= *faultsCalm {
			return lastTrouble.Sub(end), true
		}
		if now.Sub(end) > *faultsLimit {
			t.Errorf("the stack has not recovered %v after the fault: %s", *faultsLimit, reason)
			return now.Sub(end), false
		}
	}
}

// drain waits until every event has been published and handled, and every fan-out has ended. Retries of events come up to a
// minute after the third failure.
func (r *faultRun) drain(t *testing.T) {
	t.Helper()
	const limit = 3 * time.Minute
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		n, age, err := countPending(r.db, r.handled)
		if err == nil && n == 0 {
			return
		}
		if time.Since(began) > limit {
			t.Errorf("%d events and fan-outs are pending %v after the load, the oldest for %v; %v", n, limit, age, err)
			return
		}
	}
}

// checkStatuses fails the test for answers that an unavailable part does not explain.
func (r *faultRun) checkStatuses(t *testing.T, load *faultLoad) {
	t.Helper()
	right := append([]int{502, 503, 504}, r.fault.statuses...)
	for status, samples := range load.failures() {
		if !slices.Contains(right, status) { // 0 is no answer at all: the gateway always has one
			t.Errorf("%d answers with the status %d, such as\n%s", samples.n, status, strings.Join(samples.texts, "\n"))
		}
	}
}

// faultCast has the people who make the requests, and what they work with.
type faultCast struct {
	id             string
	owner, teacher person
	students       []person
	visitors       []person // sign in again and again
	schools        []string
	class          string
	tasks          []string
}

// newFaultCast signs people up and lets them prepare a class with published tasks.
func newFaultCast(t *testing.T, s *stack) *faultCast {
	t.Helper()
	c := &faultCast{id: "f" + newEmail()[:6], owner: s.newPerson(t, "Owner"), teacher: s.newPerson(t, "Teacher")}
	c.students, c.visitors = s.somePupils(t, 40), s.somePupils(t, 5)
	for range 4 {
		c.schools = append(c.schools, s.newSchool(t, c.owner))
	}
	s.join(t, c.schools[0], c.owner, "teacher", c.teacher)
	s.join(t, c.schools[0], c.owner, "student", c.students...)
	c.class = s.newClass(t, c.schools[0], c.owner)
	s.enrol(t, c.class, c.owner, "teacher", c.teacher)
	s.enrol(t, c.class, c.owner, "student", c.students...)
	for range 4 {
		task := s.newTask(t, c.class, c.teacher)
		s.publish(t, task, c.teacher, len(c.students))
		c.tasks = append(c.tasks, task)
	}
	return c
}

// signIn gives everybody a new session: a token lives for fifteen minutes.
func (c *faultCast) signIn(t *testing.T, s *stack) {
	t.Helper()
	for _, p := range []*person{&c.owner, &c.teacher} {
		s.signIn(t, p)
	}
	for i := range c.students {
		s.signIn(t, &c.students[i])
	}
}

// newKey returns a key that no other write has.
func (r *faultRun) newKey(n int) string { return fmt.Sprintf("%s%07d", r.prefix, n) }
