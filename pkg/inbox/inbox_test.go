package inbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"pgo/pkg/inbox"
	"pgo/pkg/testing/testkit"
)

func open(t *testing.T) *sql.DB {
	t.Helper()
	db := testkit.NewDatabase(t).Open(t)
	for _, statement := range []string{inbox.Schema, `CREATE TABLE effects (n INT NOT NULL)`, `INSERT INTO effects VALUES (0)`} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// once records an event in a transaction of its own.
func once(t *testing.T, db *sql.DB, consumer, id string) bool {
	t.Helper()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	first, err := inbox.RecordOnce(context.Background(), tx, consumer, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return first
}

func TestRecordOnce(t *testing.T) {
	db := open(t)
	for _, step := range []struct {
		consumer, id string
		want         bool
	}{
		{"school.users", "e1", true},
		{"school.users", "e1", false},
		{"school.users", "e1", false},
		{"school.users", "e2", true},
		{"school.users", "E2", true}, // ids are compared byte for byte
		{"task.users", "e1", true},
		{"task.users", "e1", false},
	} {
		if got := once(t, db, step.consumer, step.id); got != step.want {
			t.Errorf("Once(%s, %s) is %t, want %t", step.consumer, step.id, got, step.want)
		}
	}
}

func TestRecordOnceWithFoundRows(t *testing.T) {
	d := testkit.NewDatabase(t)
	dsn := d.DSN()
	if strings.Contains(dsn, "?") {
		dsn += "&clientFoundRows=true"
	} else {
		dsn += "?clientFoundRows=true"
	}
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(inbox.Schema); err != nil {
		t.Fatal(err)
	}
	if !once(t, db, "c", "e1") || once(t, db, "c", "e1") {
		t.Error("want true, then false")
	}
}

func TestRollbackRemovesTheRecord(t *testing.T) {
	db := open(t)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if first, err := inbox.RecordOnce(context.Background(), tx, "c", "e1"); err != nil || !first {
		t.Fatalf("Once is %t, %v", first, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if !once(t, db, "c", "e1") {
		t.Error("after a roll-back the event must count as new")
	}
}

func TestValuesThatDoNotFitAreErrors(t *testing.T) {
	db := open(t)
	for name, id := range map[string]string{"too long": strings.Repeat("x", 65), "not ASCII": "é"} {
		t.Run(name, func(t *testing.T) {
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			if _, err := inbox.RecordOnce(context.Background(), tx, "c", id); err == nil {
				t.Error("want an error")
			}
		})
	}
}

// The same event is delivered to 50 handlers at once.
func TestEffectHappensOnce(t *testing.T) {
	errHandler := errors.New("failed after the effect")
	for name, tc := range map[string]struct {
		failures int32 // so many handlers fail after their effect, and are tried again
		mend     func(error) bool
	}{
		"all handlers succeed": {0, func(error) bool { return false }},
		"some handlers fail": {5, func(err error) bool {
			var e *mysql.MySQLError
			return errors.Is(err, errHandler) || errors.As(err, &e) && e.Number == 1213
		}},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			db.SetMaxOpenConns(50)
			var tried atomic.Int32
			handle := func() error {
				tx, err := db.Begin()
				if err != nil {
					return err
				}
				defer func() { _ = tx.Rollback() }()
				first, err := inbox.RecordOnce(context.Background(), tx, "c", "e1")
				if err != nil || !first {
					return err
				}
				if _, err := tx.Exec(`UPDATE effects SET n = n + 1`); err != nil {
					return err
				}
				if tried.Add(1) <= tc.failures {
					return errHandler
				}
				return tx.Commit()
			}
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					err := handle()
					for err != nil && tc.mend(err) {
						err = handle()
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			var n int
			if err := db.QueryRow(`SELECT n FROM effects`).Scan(&n); err != nil || n != 1 {
				t.Errorf("the effect happened %d times (%v), want once", n, err)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	db := open(t)
	ctx := context.Background()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1203 {
		for _, consumer := range []string{"c", "other"} {
			if _, err := inbox.RecordOnce(ctx, tx, consumer, fmt.Sprintf("old-%d", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := tx.Exec(`UPDATE pgo_inbox SET received_at = received_at - INTERVAL 2 HOUR`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	once(t, db, "c", "new")

	// A handler in the middle of its transaction does not hold up pruning, nor the other way round.
	open, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Rollback() }()
	if _, err := inbox.RecordOnce(ctx, open, "c", "in the making"); err != nil {
		t.Fatal(err)
	}

	n, err := inbox.Prune(ctx, db, "c", time.Hour)
	if err != nil || n != 1203 {
		t.Fatalf("Prune deleted %d, %v; want 1203", n, err)
	}
	if err := open.Commit(); err != nil {
		t.Fatal(err)
	}
	for consumer, want := range map[string]int{"c": 2, "other": 1203} {
		var left int
		if err := db.QueryRow(`SELECT COUNT(*) FROM pgo_inbox WHERE consumer = ?`, consumer).Scan(&left); err != nil || left != want {
			t.Errorf("%d rows of %s are left (%v), want %d", left, consumer, err, want)
		}
	}
}
