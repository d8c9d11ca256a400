package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"pgo/pkg/problem"
	"pgo/services/school"
	"pgo/services/school/store"
)

// TestConcurrentCreationDoesNotDeadlock has two transactions on different schools read missing rows in the same gap of an
// index, and then insert them. Neither waits for the other, which would be a deadlock.
func TestConcurrentCreationDoesNotDeadlock(t *testing.T) {
	t.Parallel()
	s, _, _ := openStore(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	owner := newTestID(aPerson, 5)
	for n := 1; n <= 2; n++ {
		made := school.School{ID: newTestID(aSchool, n), Name: "School", Timezone: "UTC", Version: 1, CreatedAt: now, UpdatedAt: now}
		if err := s.CreateSchool(t.Context(), made, owner); err != nil {
			t.Fatal(err)
		}
		class := school.Class{ID: newTestID(aClass, n), SchoolID: made.ID, Name: "7A", Version: 1, CreatedAt: now, UpdatedAt: now}
		if err := s.ChangeSchool(t.Context(), made.ID, func(tx school.Tx) error { return tx.AddClass(class) }); err != nil {
			t.Fatal(err)
		}
	}
	newcomers := map[int]string{1: newTestID(aPerson, 6), 2: newTestID(aPerson, 4)} // after the first school's owner, and before the second's

	for _, tc := range []struct {
		name string
		look func(tx school.Tx, n int) error
		add  func(tx school.Tx, n int) error
	}{
		{
			"members",
			func(tx school.Tx, n int) error { _, err := tx.FindMember(newcomers[n]); return err },
			func(tx school.Tx, n int) error {
				_, err := tx.SetMember(school.Member{SchoolID: newTestID(aSchool, n), UserID: newcomers[n], Role: school.RoleStudent, CreatedAt: now, UpdatedAt: now})
				return err
			},
		},
		{
			"class memberships",
			func(tx school.Tx, n int) error { _, err := tx.FindClassMember(newTestID(aClass, n), owner); return err },
			func(tx school.Tx, n int) error {
				_, err := tx.SetClassMember(school.ClassMember{ClassID: newTestID(aClass, n), SchoolID: newTestID(aSchool, n), UserID: owner, Role: school.RoleTeacher, CreatedAt: now, UpdatedAt: now})
				return err
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var looked sync.WaitGroup
			looked.Add(2)
			tries := make(chan int, 2)
			for n := 1; n <= 2; n++ {
				go func() { tries <- countAttempts(t, s, n, newcomers[n], &looked, tc.look, tc.add) }()
			}
			for range 2 {
				if n := <-tries; n != 1 {
					t.Errorf("%d attempts instead of 1: the transactions waited for each other", n)
				}
			}
		})
	}
}

// countAttempts looks for something in school n, adds it when the other has looked too, and returns how often that was begun.
func countAttempts(t *testing.T, s *store.Store, n int, person string, looked *sync.WaitGroup, look, add func(school.Tx, int) error) int {
	t.Helper()
	tries := 0
	err := s.JoinSchool(t.Context(), newTestID(aSchool, n), person, func(tx school.Tx) error {
		tries++
		err := look(tx, n)
		if tries == 1 {
			looked.Done()
			looked.Wait()
		}
		if !errors.Is(err, problem.NotFound()) {
			t.Errorf("looking for what is not there: %v", err)
		}
		return add(tx, n)
	})
	if err != nil {
		t.Error(err)
	}
	return tries
}
