package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"gorm.io/gorm"

	"pgo/pkg/mysql"
	"pgo/pkg/testing/testkit"
)

func TestOpenDoesNotNeedTheServer(t *testing.T) {
	cfg := mysql.Defaults()
	cfg.Addr, cfg.Username, cfg.Database = "127.0.0.1:1", "u", "d"
	reg := prometheus.NewRegistry()
	db := open(t, cfg, reg)
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.PingContext(context.Background()); !unavailable(mysql.Classify(err)) {
		t.Errorf("ping: %v", err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range families {
		found[f.GetName()] = f.GetMetric()[0].GetLabel()[0].GetValue()
	}
	for _, name := range []string{"go_sql_open_connections", "go_sql_max_open_connections", "go_sql_wait_duration_seconds_total"} {
		if found[name] != "d" {
			t.Errorf("%s has db_name %q", name, found[name])
		}
	}
	if _, err := mysql.Open(cfg, noop.NewTracerProvider(), reg); err == nil {
		t.Error("the same pool's metrics are registered twice")
	}
}

func TestSessionSettings(t *testing.T) {
	db, _ := withNotes(t)
	for _, tc := range []struct{ variable, want string }{
		{"time_zone", "+00:00"},
		{"collation_connection", "utf8mb4_unicode_ci"},
		{"character_set_client", "utf8mb4"},
		{"innodb_lock_wait_timeout", "1"},
	} {
		var got string
		if err := db.Raw("SELECT @@session." + tc.variable).Scan(&got).Error; err != nil || got != tc.want {
			t.Errorf("%s is %q, %v, want %q", tc.variable, got, err, tc.want)
		}
	}
	var mode string
	if err := db.Raw("SELECT @@session.sql_mode").Scan(&mode).Error; err != nil || !strings.Contains(mode, "STRICT_ALL_TABLES") {
		t.Errorf("sql_mode %q, %v", mode, err)
	}
}

func TestValuesRoundTrip(t *testing.T) {
	db, _ := withNotes(t)
	at := time.Date(2026, 10, 25, 1, 30, 0, 123456000, time.UTC) // an hour that some zones have twice
	want := note{ID: 7, Body: "👩‍🏫 שלום", At: at}
	if err := db.Create(&want).Error; err != nil {
		t.Fatal(err)
	}
	var got note
	if err := db.First(&got, 7).Error; err != nil {
		t.Fatal(err)
	}
	if got.Body != want.Body || !got.At.Equal(at) || got.At.Location() != time.UTC {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if now := db.NowFunc(); now.Location() != time.UTC || now.Nanosecond()%1000 != 0 {
		t.Errorf("now is %v: it would differ from what is read back", now)
	}
	again := db.Model(&note{}).Where("id = ?", 7).Update("body", want.Body)
	if again.Error != nil || again.RowsAffected != 1 {
		t.Errorf("an update that changes nothing found %d rows, %v", again.RowsAffected, again.Error)
	}
}

func TestDataErrorsAreNotUnavailable(t *testing.T) {
	db, _ := withNotes(t)
	for _, tc := range []struct {
		name string
		err  error
		is   error
	}{
		{"NULL", db.Exec("INSERT INTO notes (id, body) VALUES (9, NULL)").Error, nil},
		{"too long", db.Create(&note{ID: 9, Body: strings.Repeat("x", 11), At: time.Now()}).Error, nil},
		{"no value", db.Exec("INSERT INTO notes (id) VALUES (9)").Error, nil},
		{"not a time", db.Exec("INSERT INTO notes (id, body, at) VALUES (9, 'x', '2026-02-30')").Error, nil},
		{"duplicate", db.Create(&note{ID: 1, Body: "x", At: time.Now()}).Error, gorm.ErrDuplicatedKey},
		{"not found", db.First(&note{}, 99).Error, gorm.ErrRecordNotFound},
		{"bad SQL", db.Exec("SELEKT 1").Error, nil},
		{"no table", db.Exec("SELECT * FROM nothing").Error, nil},
		{"two statements", db.Exec("SELECT 1; SELECT 2").Error, nil},
		{"any other error", errors.New("x"), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := mysql.Classify(tc.err)
			if err == nil || unavailable(err) || !errors.Is(err, tc.err) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := mysql.Classify(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}

func TestUnreachableServerIsUnavailable(t *testing.T) {
	db, d := withNotes(t)
	link := testkit.NewLink(t, d.Addr)
	cfg := settings(d)
	cfg.Addr, cfg.IOTimeout = link.Addr(), 2*time.Second
	through := open(t, cfg, prometheus.NewRegistry())
	read := func() error { var n note; return mysql.Classify(through.First(&n, 1).Error) }
	change := func() error {
		return mysql.InTx(context.Background(), through, func(tx *gorm.DB) error { return set(context.Background(), tx, 1, "c") })
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	link.Cut()
	for range 3 { // the pool's broken connections, then refused ones
		if err := read(); !unavailable(err) {
			t.Errorf("down: read: %v", err)
		}
		if err := change(); !unavailable(err) { // its statement is first prepared while the server is unavailable
			t.Errorf("down: change: %v", err)
		}
	}
	link.Restore()
	testkit.Eventually(t, "the database is back", read)
	testkit.Eventually(t, "changes are back", change)

	link.SetLatency(10 * time.Second)
	if err := read(); !unavailable(err) {
		t.Errorf("slower than the limit: %v", err)
	}
	link.SetLatency(0)
	testkit.Eventually(t, "the database is fast again", read)

	err := mysql.InTx(context.Background(), through, func(tx *gorm.DB) error {
		if err := set(context.Background(), tx, 2, "lost"); err != nil {
			return err
		}
		link.Cut()
		defer link.Restore()
		return set(context.Background(), tx, 2, "lost")
	})
	if !unavailable(err) {
		t.Errorf("cut in a transaction: %v", err)
	}
	if got := body(t, db, 2); got != "b" {
		t.Errorf("the transaction that was cut left %q", got)
	}
}

func TestRefusingServerIsUnavailable(t *testing.T) {
	db, d := withNotes(t)
	account := d.Name // one that only this test has
	t.Cleanup(func() { db.Exec("DROP USER IF EXISTS `" + account + "`@'%'") })
	for _, s := range []string{
		"CREATE USER `" + account + "`@'%' IDENTIFIED BY 'pw-of-the-test'",
		"GRANT SELECT ON `" + d.Name + "`.* TO `" + account + "`@'%'",
		"ALTER USER `" + account + "`@'%' WITH MAX_USER_CONNECTIONS 1",
	} {
		if err := db.Exec(s).Error; err != nil {
			t.Fatal(err)
		}
	}
	limited := settings(d)
	limited.Username, limited.Password = account, "pw-of-the-test"
	wrong, unknown, forbidden := limited, limited, limited
	wrong.Password = "wrong"
	unknown.Username, unknown.Password = d.User, settings(d).Password
	unknown.Database = d.Name + "x"
	forbidden.Database = "mysql"
	for name, cfg := range map[string]mysql.Config{"wrong password": wrong, "no such database": unknown, "another's database": forbidden} {
		if err := open(t, cfg, prometheus.NewRegistry()).Exec("SELECT 1").Error; !unavailable(mysql.Classify(err)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	first, second := open(t, limited, prometheus.NewRegistry()), open(t, limited, prometheus.NewRegistry())
	if err := first.Exec("SELECT 1").Error; err != nil {
		t.Fatal(err)
	}
	if err := second.Exec("SELECT 1").Error; !unavailable(mysql.Classify(err)) {
		t.Errorf("too many connections: %v", err)
	}
	if err := first.Exec("DELETE FROM notes").Error; err == nil || unavailable(mysql.Classify(err)) {
		t.Errorf("a right that the account lacks is a mistake, not unavailable: %v", err)
	}
}

func TestKilledConnectionIsUnavailable(t *testing.T) {
	db, _ := withNotes(t)
	err := mysql.InTx(context.Background(), db, func(tx *gorm.DB) error {
		var id int64
		if err := tx.Raw("SELECT CONNECTION_ID()").Scan(&id).Error; err != nil {
			return err
		}
		if err := db.Exec(fmt.Sprintf("KILL %d", id)).Error; err != nil {
			t.Fatal(err)
		}
		return set(context.Background(), tx, 1, "lost")
	})
	if !unavailable(err) {
		t.Errorf("got %v", err)
	}
	if got := body(t, db, 1); got != "a" {
		t.Errorf("left %q", got)
	}
}

func TestCancelledContextIsNotUnavailable(t *testing.T) {
	db, _ := withNotes(t)
	sleep := func(ctx context.Context) error { return db.WithContext(ctx).Exec("SELECT SLEEP(60)").Error }
	t.Run("the caller leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		timer := time.AfterFunc(50*time.Millisecond, cancel)
		defer timer.Stop()
		err := mysql.Classify(sleep(ctx))
		if !errors.Is(err, context.Canceled) || unavailable(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("before it begins", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := mysql.InTx(ctx, db, func(*gorm.DB) error { t.Error("began"); return nil })
		if !errors.Is(err, context.Canceled) || unavailable(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("while dialling", func(t *testing.T) {
		cfg := mysql.Defaults()
		cfg.Addr, cfg.Username, cfg.Database = "127.0.0.1:1", "u", "d"
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := mysql.Classify(open(t, cfg, prometheus.NewRegistry()).WithContext(ctx).Exec("SELECT 1").Error)
		if !errors.Is(err, context.Canceled) || unavailable(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the time is over", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		err := mysql.Classify(sleep(ctx))
		if !errors.Is(err, context.DeadlineExceeded) || !unavailable(err) {
			t.Errorf("got %v", err)
		}
	})
	if got := body(t, db, 1); got != "a" {
		t.Errorf("the database does not answer any more: %q", got)
	}
}

// The first use of a statement must not be special: whoever waits for it would share the fate of who came first.
func TestCancelledCallerFailsNoOther(t *testing.T) {
	_, server := withNotes(t)
	link := testkit.NewLink(t, server.Addr)
	cfg := settings(server)
	cfg.Addr = link.Addr()
	db := open(t, cfg, prometheus.NewRegistry())
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	link.SetLatency(10 * time.Millisecond) // so that all are on their way at once
	for i := range 20 {
		query := fmt.Sprintf("SELECT %d + id FROM notes WHERE id = ?", i)
		ctx, giveUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for caller := range 8 {
			all.Go(func() {
				var n int64
				if caller%2 == 0 {
					_ = db.WithContext(ctx).Raw(query, 1).Scan(&n).Error
				} else if err := db.WithContext(t.Context()).Raw(query, 1).Scan(&n).Error; err != nil {
					t.Errorf("query %d: %v", i, err)
				}
			})
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			all.Wait()
		}()
		for under := true; under && pool.Stats().InUse == 0; { // under way, or over before that was seen
			select {
			case <-done:
				under = false
			default:
				runtime.Gosched()
			}
		}
		giveUp()
		<-done
	}
}
