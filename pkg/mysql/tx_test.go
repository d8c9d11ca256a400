package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/pkg/mysql"
	"pgo/pkg/problem"
)

func TestInTxCommitsOrRollsBack(t *testing.T) {
	db, _ := withNotes(t)
	ctx := context.Background()
	boom, taken := errors.New("boom"), problem.New(problem.KindConflict, "taken", "Taken.")
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"an error", boom, "a"},
		{"a problem", taken, "a"},
		{"no error", nil, "c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tries := 0
			err := mysql.InTx(ctx, db, func(tx *gorm.DB) error {
				tries++
				if err := set(ctx, tx, 1, "c"); err != nil {
					return err
				}
				return tc.err
			})
			if err != tc.err || tries != 1 { //nolint:errorlint // the very same error
				t.Errorf("got %v after %d tries", err, tries)
			}
			if got := body(t, db, 1); got != tc.want {
				t.Errorf("left %q, want %q", got, tc.want)
			}
		})
	}
	t.Run("a panic", func(t *testing.T) {
		func() {
			defer func() {
				if p := recover(); p != "boom" {
					t.Errorf("recovered %v", p)
				}
			}()
			_ = mysql.InTx(ctx, db, func(tx *gorm.DB) error {
				if err := set(ctx, tx, 2, "c"); err != nil {
					t.Error(err)
				}
				panic("boom")
			})
		}()
		if got := body(t, db, 2); got != "b" {
			t.Errorf("left %q", got)
		}
		if err := mysql.InTx(ctx, db, func(tx *gorm.DB) error { return set(ctx, tx, 2, "d") }); err != nil {
			t.Errorf("its lock is still held: %v", err)
		}
	})
}

func TestInTxRetriesADeadlock(t *testing.T) {
	db, _ := withNotes(t)
	ctx := context.Background()
	var tries atomic.Int32
	var both sync.WaitGroup // each holds its first row
	both.Add(2)
	errs := make(chan error, 2)
	for i, order := range [][2]int64{{1, 2}, {2, 1}} {
		go func() {
			first := true
			errs <- mysql.InTx(ctx, db, func(tx *gorm.DB) error {
				tries.Add(1)
				for n, id := range order {
					if err := set(ctx, tx, id, fmt.Sprintf("tx%d", i)); err != nil {
						return fmt.Errorf("change %d: %w", id, err)
					}
					if n == 0 && first {
						first = false
						both.Done()
						both.Wait()
					}
				}
				return nil
			})
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := tries.Load(); n < 3 {
		t.Errorf("%d tries: there was no deadlock", n)
	}
	if a, b := body(t, db, 1), body(t, db, 2); a != b {
		t.Errorf("rows %q and %q are of two transactions", a, b)
	}
}

// TestInTxReadCommittedLocksNoGaps has two transactions look under a lock for a row, each for another one beside the last, and
// then insert it.
func TestInTxReadCommittedLocksNoGaps(t *testing.T) {
	for _, tc := range []struct {
		name  string
		inTx  func(context.Context, *gorm.DB, func(*gorm.DB) error) error
		tries func(int32) bool
	}{
		{"waits for the other who looks there", mysql.InTx, func(n int32) bool { return n >= 3 }}, // a deadlock
		{"does not, read committed", mysql.InTxReadCommitted, func(n int32) bool { return n == 2 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			db, _ := withNotes(t)
			ctx := context.Background()
			var tries atomic.Int32
			var both sync.WaitGroup
			both.Add(2)
			errs := make(chan error, 2)
			for _, id := range []int64{10, 11} {
				go func() {
					first := true
					errs <- tc.inTx(ctx, db, func(tx *gorm.DB) error {
						tries.Add(1)
						var found []note
						if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Find(&found, "id = ?", id).Error; err != nil || len(found) != 0 {
							return fmt.Errorf("look for %d: found %d, %w", id, len(found), err)
						}
						if first {
							first = false
							both.Done()
							both.Wait()
						}
						return tx.Create(&note{ID: id, Body: "new", At: time.Now().UTC()}).Error
					})
				}()
			}
			for range 2 {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			if n := tries.Load(); !tc.tries(n) {
				t.Errorf("%d tries", n)
			}
			if a, b := body(t, db, 10), body(t, db, 11); a != "new" || b != "new" {
				t.Errorf("left %q and %q", a, b)
			}
		})
	}
}

func TestInTxRetriesALockWait(t *testing.T) {
	db, _ := withNotes(t)
	ctx := context.Background()
	holder := db.Begin()
	if err := set(ctx, holder, 1, "held"); err != nil {
		t.Fatal(err)
	}
	tries := 0
	err := mysql.InTx(ctx, db, func(tx *gorm.DB) error {
		if tries++; tries == 2 {
			holder.Rollback()
		}
		return set(ctx, tx, 1, "c")
	})
	if err != nil || tries != 2 {
		t.Errorf("%d tries, %v", tries, err)
	}
	if got := body(t, db, 1); got != "c" {
		t.Errorf("left %q", got)
	}
}

func TestInTxGivesUp(t *testing.T) {
	db, _ := withNotes(t)
	deadlock := &driver.MySQLError{Number: 1213, Message: "Deadlock found"}
	t.Run("after five tries", func(t *testing.T) {
		tries := 0
		err := mysql.InTx(context.Background(), db, func(*gorm.DB) error { tries++; return fmt.Errorf("change: %w", deadlock) })
		if tries != 5 || !unavailable(err) || !errors.Is(err, error(deadlock)) {
			t.Errorf("%d tries, %v", tries, err)
		}
	})
	t.Run("when the caller leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		tries := 0
		err := mysql.InTx(ctx, db, func(*gorm.DB) error { tries++; cancel(); return deadlock })
		if tries != 1 || unavailable(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("%d tries, %v", tries, err)
		}
	})
}

func TestInTxReplacesADeadConnection(t *testing.T) {
	db, where := withNotes(t)
	admin := where.Open(t)
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(1) // so that the killed connection is the next one used
	for range 20 {
		var id int64
		if err := db.Raw("SELECT CONNECTION_ID()").Scan(&id).Error; err != nil {
			t.Fatal(err)
		}
		if _, err := admin.Exec(fmt.Sprintf("KILL %d", id)); err != nil {
			t.Fatal(err)
		}
		if err := mysql.InTx(context.Background(), db, func(tx *gorm.DB) error { return set(context.Background(), tx, 1, "c") }); err != nil {
			t.Fatal(err)
		}
	}
}
