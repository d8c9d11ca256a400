//go:build alerts

package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/zap"

	"pgo/pkg/mq"
)

// TestAlerts breaks one thing after the other of a running stack and waits until somebody is told, by WeCom and where it is critical by
// mail, and is told that it is over once it is mended. The rules are the repository's; only their times are shorter.
func TestAlerts(t *testing.T) {
	w := newWatched(t)
	for _, b := range []struct {
		name   string
		alerts []string // that arrive while it is broken
		after  []string // that arrive because it was mended
		mail   bool     // all of them are critical
		do     func(t *testing.T) (mend func())
	}{
		{name: "stop an exporter", alerts: []string{"TargetDown"}, mail: true, do: w.stopping("node-exporter")},
		{name: "stop Redis", alerts: []string{"RedisDown"}, mail: true, do: w.stopping("redis")},
		{name: "stop MySQL", alerts: []string{"MySQLDown"}, mail: true, do: w.stopping("mysql")},
		{name: "kill a consumer", alerts: []string{"QueueWithoutConsumer"}, mail: true, do: w.stopping("school")},
		{name: "fill a queue", alerts: []string{"QueueBacklog"}, after: []string{"DeadLettersGrowing"}, do: w.fillQueue},
		{name: "crash a service again and again", alerts: []string{"ServiceRestarting"}, mail: true, do: w.crashLoop},
		{name: "leak goroutines", alerts: []string{"GoroutinesHigh"}, do: w.leakGoroutines},
		{name: "fill a pool", alerts: []string{"DBPoolFull"}, do: w.fillPool},
		{name: "stop the relay", alerts: []string{"OutboxLag"}, mail: true, do: w.stopRelay},
		{name: "fail a migration", alerts: []string{"MigrationDirty"}, mail: true, do: w.failMigration},
	} {
		t.Run(b.name, func(t *testing.T) {
			w.t = t
			chat, mail := w.chat.mark(), w.mail.mark()
			mend := sync.OnceFunc(b.do(t))
			t.Cleanup(mend) // what a failed test has broken must not break the next
			for _, alert := range b.alerts {
				w.chat.arrives(t, chat, "firing", "· "+alert)
				if b.mail {
					w.mail.arrives(t, mail, "[FIRING", alert)
				}
			}
			mend()
			for _, alert := range b.after {
				w.chat.arrives(t, chat, "firing", "· "+alert)
			}
			for _, alert := range append(b.alerts, b.after...) {
				w.chat.arrives(t, chat, "resolved · "+alert)
				if b.mail {
					w.mail.arrives(t, mail, "[RESOLVED", alert)
				}
			}
		})
	}
	t.Run("WeCom refuses what is told", func(t *testing.T) {
		w.t = t
		mail := w.mail.mark()
		w.chat.refuse(true)
		mend := w.stopping("nginx-exporter")(t)
		w.mail.arrives(t, mail, "[FIRING", "TargetDown")
		w.mail.arrives(t, mail, "[FIRING", "WeComMessagesLost")
		w.chat.refuse(false)
		mend()
		w.mail.arrives(t, mail, "[RESOLVED", "WeComMessagesLost")
	})
}

// stopping stops a process; mending it is starting it.
func (w *watched) stopping(name string) func(*testing.T) func() {
	return func(*testing.T) func() {
		w.must("pgo", "stop", name)
		return func() { w.must("pgo", "start", name) }
	}
}

// fillQueue takes a queue's consumer away and puts in more than it may hold. None of it is an event.
func (w *watched) fillQueue(t *testing.T) func() {
	w.must("pgo", "stop", "task")
	env := w.env(t)
	conn := mq.Connect(mq.Config{Addr: env["RABBITMQ_ADDR"], Vhost: "pgo", Username: "pgo_admin", Password: w.secret("rabbitmq_admin_password")}, zap.NewNop())
	defer func() { _ = conn.Close(context.Background()) }()
	eventually(t, "the broker is there", func() error { return conn.Check(context.Background()) })
	batch := make([]mq.Publishing, 1200)
	for i := range batch {
		batch[i] = mq.Publishing{Exchange: mq.RequeueExchange, RoutingKey: "task.events", Body: []byte("{}"), Mandatory: true}
	}
	for _, err := range conn.Publish(context.Background(), batch) {
		if err != nil {
			t.Fatal(err)
		}
	}
	return func() { w.must("pgo", "start", "task") }
}

func (w *watched) crashLoop(t *testing.T) func() {
	for range 4 {
		before := w.list()["task"].PID
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "task is there again", func() error {
			if p := w.list()["task"]; !p.Ready || p.PID == before {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
	}
	return func() {}
}

// leakGoroutines leaves connections open, each of which a goroutine waits on.
func (w *watched) leakGoroutines(t *testing.T) func() {
	stop, stopped := make(chan struct{}), make(chan struct{})
	addr := fmt.Sprintf("127.0.0.1:%d", 8081+w.offset)
	var open []net.Conn
	for range 1100 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	ask := func() {
		answer := make([]byte, 4096)
		for _, c := range open {
			if _, err := fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
				t.Errorf("keep a connection open: %v", err)
				return
			}
			if _, err := c.Read(answer); err != nil {
				t.Errorf("keep a connection open: %v", err)
				return
			}
		}
	}
	go func() {
		defer close(stopped)
		again := time.NewTicker(20 * time.Second) // the service closes one that is idle for longer than a minute
		defer again.Stop()
		for {
			ask()
			select {
			case <-stop:
				return
			case <-again.C:
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		for _, c := range open {
			c.Close()
		}
	}
}

// fillPool locks the table that people's own changes need, and has more of them than there are connections.
func (w *watched) fillPool(t *testing.T) func() {
	token := w.signUp(t)
	lock := w.conn(t)
	if _, err := lock.ExecContext(t.Context(), "LOCK TABLES pgo_user.users WRITE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var callers sync.WaitGroup
	for range 60 {
		callers.Go(func() {
			for ctx.Err() == nil {
				_, _ = w.call("PATCH", "/api/v1/users/me", token, map[string]string{"name": "Ada"}) // refused or late is what is wanted
			}
		})
	}
	return func() {
		cancel()
		if _, err := lock.ExecContext(context.Background(), "UNLOCK TABLES"); err != nil {
			t.Error(err)
		}
		callers.Wait()
	}
}

// stopRelay takes the relay's lock away, so that it stands by, and makes an event.
func (w *watched) stopRelay(t *testing.T) func() {
	const name = "pgo_outbox.pgo_user"
	mine, other := w.conn(t), w.conn(t)
	got := make(chan error, 1)
	go func() {
		var one int
		err := mine.QueryRowContext(context.Background(), "SELECT GET_LOCK(?, 60)", name).Scan(&one)
		if err == nil && one != 1 {
			err = fmt.Errorf("GET_LOCK says %d", one)
		}
		got <- err
	}()
	eventually(t, "we are next in the line for the relay's lock", func() error {
		var n int
		err := other.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT GET_LOCK(%, 60)'").Scan(&n)
		if err == nil && n == 0 {
			err = fmt.Errorf("nobody waits")
		}
		return err
	})
	if _, err := other.ExecContext(t.Context(), "KILL IS_USED_LOCK('"+name+"')"); err != nil {
		var id int
		if err := other.QueryRowContext(t.Context(), "SELECT IS_USED_LOCK(?)", name).Scan(&id); err != nil {
			t.Fatal(err)
		}
		if _, err := other.ExecContext(t.Context(), fmt.Sprintf("KILL %d", id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	w.signUp(t)
	return func() {
		if _, err := mine.ExecContext(context.Background(), "DO RELEASE_LOCK(?)", name); err != nil {
			t.Error(err)
		}
	}
}

// failMigration has bootcheck migrate from a program that brings a migration which fails at its second statement. It is mended as
// the runbook says: what the statement wants is made, and bootcheck comes again.
func (w *watched) failMigration(t *testing.T) func() {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "00003_broken.sql"), "-- min_code_schema: 1\n-- +goose Up\nCREATE TABLE half (id INT PRIMARY KEY);\nINSERT INTO other_half VALUES (1);\n")
	program := write(t, filepath.Join(dir, "user"), `#!/bin/sh
set -e
cd `+w.root+`
case "$1" in
version) bin/user version --json | sed 's/"schema_version":[0-9]*/"schema_version":3/' ;;
migrations) rm -rf `+dir+`/all && mkdir `+dir+`/all && bin/user migrations | tar x -C `+dir+`/all && cp `+dir+`/00003_broken.sql `+dir+`/all/ &&
	cd `+dir+`/all && tar c *.sql ;;
*) exec bin/user "$@" ;;
esac
`)
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := w.bootcheckOnce(t, program); err == nil || !strings.Contains(out, "other_half") {
		t.Fatalf("the migration did not fail as it should: %v\n%s", err, out)
	}
	return func() {
		if _, err := w.conn(t).ExecContext(context.Background(), "CREATE TABLE pgo_user.other_half (id INT PRIMARY KEY)"); err != nil {
			t.Fatal(err)
		}
		if out, err := w.bootcheckOnce(t, program); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// bootcheckOnce runs bootcheck beside the one that runs, with another program of User.
func (w *watched) bootcheckOnce(t *testing.T, program string) (string, error) {
	t.Helper()
	env := w.env(t)
	secrets := filepath.Join(w.home, "secrets")
	cmd := exec.Command(filepath.Join(w.root, "bin", "bootcheck"), "once")
	cmd.Dir = w.root
	cmd.Env = append(os.Environ(),
		"PGO_ENV="+env["PGO_ENV"], "PGO_CFG_MYSQL__ADDR="+env["MYSQL_ADDR"], "PGO_CFG_REDIS__ADDR="+env["REDIS_ADDR"],
		"PGO_CFG_RABBITMQ__ADDR="+env["RABBITMQ_ADDR"], "PGO_CFG_RABBITMQ__API="+env["RABBITMQ_API"])
	for _, server := range []string{"mysql", "redis", "rabbitmq"} {
		cmd.Env = append(cmd.Env, "PGO_CFG_"+strings.ToUpper(server)+"__PASSWORD_FILE="+filepath.Join(secrets, server+"_admin_password"))
		for _, s := range services() {
			cmd.Env = append(cmd.Env, fmt.Sprintf("PGO_CFG_SERVICES__%s__%s_PASSWORD_FILE=%s", strings.ToUpper(s), strings.ToUpper(server), filepath.Join(secrets, s+"_"+server+"_password")))
		}
	}
	for _, s := range services() {
		binary := filepath.Join("bin", s)
		if s == "user" {
			binary = program
		}
		cmd.Env = append(cmd.Env, "PGO_CFG_SERVICES__"+strings.ToUpper(s)+"__BINARY="+binary)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// signUp makes an account and signs in; it returns the token.
func (w *watched) signUp(t *testing.T) string {
	t.Helper()
	email := newEmail()
	w.want(t, 201, "POST", "/api/v1/auth/register", "", map[string]string{"email": email, "password": password, "name": "Ada"})
	return w.want(t, 200, "POST", "/api/v1/auth/login", "", map[string]string{"email": email, "password": password}).text("access_token")
}

// conn is one connection to MySQL as the administrator.
func (w *watched) conn(t *testing.T) *sql.Conn {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd = "tcp", w.env(t)["MYSQL_ADDR"], "pgo_admin", w.secret("mysql_admin_password")
	cfg.InterpolateParams = true
	db, err := sql.Open("mysql", cfg.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
