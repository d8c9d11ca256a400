package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgo/pkg/testing/testkit"
)

// schoolOverRestarts takes a school's way while one part after the other is killed in the middle of it, more than
// once: what events bring comes late, and nothing is lost.
func schoolOverRestarts(t *testing.T, s *stack) {
	pupils := s.somePupils(t, 6)
	for _, tc := range []struct {
		part  string
		after []string // the steps after which it is killed
	}{
		{"rabbitmq", []string{"accept", "publish"}},
		{"user", []string{"register", "accept", "publish"}},
		{"school", []string{"class", "accept", "enrol"}},
		{"task", []string{"enrol", "publish", "submit", "grade"}},
	} {
		t.Run(tc.part, func(t *testing.T) {
			s.t = t
			l := s.newLesson(pupils)
			l.disturbed = true
			l.after = func(step string) {
				if slices.Contains(tc.after, step) {
					s.kill(t, tc.part)
				}
			}
			l.run(t)
			s.ready(tc.part, 0)
			s.noDeadLetters(t)
		})
	}
}

// readyDuringReload asks the gateway again and again whether a service is ready, on connections that it keeps, while the service is
// replaced and until the old process has drained and ended: each answer is 200.
func readyDuringReload(t *testing.T, s *stack) {
	calls := map[string]string{"user": "/api/v1/users/me", "school": "/api/v1/schools", "task": "/api/v1/tasks"}
	for _, name := range services() {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.ready(name, 0)
			pid := s.list()[name].PID
			ctx, cancel := context.WithCancel(t.Context())
			var askers sync.WaitGroup
			defer askers.Wait()
			defer cancel()
			var asked atomic.Int64
			for range 4 {
				askers.Go(func() {
					pace := time.NewTicker(10 * time.Millisecond) // below the gateway's limit
					defer pace.Stop()
					for ctx.Err() == nil {
						// Connections of other calls to the same service are kept too, and a draining process still answers on these.
						for path, status := range map[string]int{"/services/" + name + "/readyz": 200, calls[name]: 401} {
							if _, err := s.expect(status, "GET", path, "", nil); err != nil {
								t.Errorf("after %d answers: %v", asked.Load(), err)
								return
							}
							asked.Add(1)
						}
						<-pace.C
					}
				})
			}
			for range 2 {
				s.must("pgo", "reload", name)
			}
			testkit.Eventually(t, "the first process has drained", func() error {
				if syscall.Kill(pid, 0) == nil {
					return fmt.Errorf("pid %d of %s exists after %d answers", pid, name, asked.Load())
				}
				return nil
			})
			cancel()
			askers.Wait()
			t.Logf("%d answers", asked.Load())
		})
	}
}

// replaceFrozen stops each service's process from running. Its watchdog has to replace it within 15 s.
func replaceFrozen(t *testing.T, s *stack) {
	for _, name := range services() {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.ready(name, 0)
			pid := s.list()[name].PID
			frozenAt := time.Now()
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, "the frozen process is gone", func() error {
				if syscall.Kill(pid, 0) == nil {
					return fmt.Errorf("pid %d of %s exists", pid, name)
				}
				return nil
			})
			gone := time.Since(frozenAt)
			s.ready(name, pid)
			t.Logf("killed after %s, ready again after %s", gone, time.Since(frozenAt))
			if gone > 15*time.Second {
				t.Errorf("the frozen process was killed after %s, want 15 s at most", gone)
			}
		})
	}
}

// kill kills a part that is ready, and does not wait for what comes after it.
func (s *stack) kill(t testing.TB, part string) {
	t.Helper()
	s.ready(part, 0)
	if err := syscall.Kill(s.list()[part].PID, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s: %v", part, err)
	}
}

// noDeadLetters checks that no consumer has given an event up.
func (s *stack) noDeadLetters(t testing.TB) {
	t.Helper()
	for _, service := range services() {
		testkit.Eventually(t, service+" has no dead letters", func() error {
			return noneIn(s.command("pgo", "exec", service, "events", "dead", "list", "--json"))
		})
	}
}

// noneIn is an error where a program did not print an empty list.
func noneIn(out string, err error) error {
	if err == nil && strings.TrimSpace(out) != "[]" {
		err = fmt.Errorf("%s", out)
	}
	return err
}

// eachAlone checks that a service continues while the others are unavailable.
func eachAlone(t *testing.T, s *stack) {
	l := s.newLesson(s.somePupils(t, 1))
	l.run(t)
	works := map[string]func(){
		"school": func() {
			s.want(t, 200, "GET", "/api/v1/schools/"+l.school+"/members", l.teacher.token, nil)
			s.newClass(t, l.school, l.owner)
		},
		"task": func() {
			task := s.newTask(t, l.class, l.teacher)
			s.publish(t, task, l.teacher, len(l.students))
			s.submit(t, task, l.students[0])
		},
	}
	for _, tc := range []struct {
		away  []string
		works []string
	}{
		{[]string{"school"}, []string{"task"}},
		{[]string{"user", "task"}, []string{"school"}},
		{[]string{"user", "school"}, []string{"task"}},
	} {
		t.Run("without "+strings.Join(tc.away, " and "), func(t *testing.T) {
			s.t = t
			s.must("pgo", append([]string{"stop"}, tc.away...)...)
			defer s.must("pgo", append([]string{"start"}, tc.away...)...)
			for _, service := range tc.works {
				works[service]()
			}
		})
	}
}

// deadWithin is how soon every service must refuse an ended session's token.
const deadWithin = time.Second

// logoutIsKnown signs out and asks School and Task at once, also while Redis is unavailable.
func logoutIsKnown(t *testing.T, s *stack) {
	p := s.newPerson(t, "Leaving")
	for _, redis := range []string{"here", "away"} {
		t.Run("Redis is "+redis, func(t *testing.T) {
			s.t = t
			if redis == "away" {
				s.must("pgo", "stop", "redis")
				defer s.must("pgo", "start", "redis")
			}
			for range 5 {
				s.signIn(t, &p)
				s.leaves(t, p)
			}
		})
	}
}

// leaves signs out and measures when each service has taken note.
func (s *stack) leaves(t testing.TB, p person) {
	t.Helper()
	paths := []string{"/api/v1/users/me", "/api/v1/schools", "/api/v1/tasks"}
	for _, path := range paths {
		s.want(t, 200, "GET", path, p.token, nil)
	}
	s.want(t, 204, "POST", "/api/v1/auth/logout", p.token, nil)
	start := time.Now()
	for len(paths) > 0 {
		asked := time.Since(start)
		a, err := s.call("GET", paths[0], p.token, nil)
		switch {
		case err != nil:
			t.Fatal(err)
		case a.Status == 401:
			t.Logf("%s refuses after %v", paths[0], asked.Round(time.Millisecond))
			paths = paths[1:]
		case asked > deadWithin:
			t.Fatalf("%s still answers %d %v after the logout", paths[0], a.Status, asked)
		}
	}
}
