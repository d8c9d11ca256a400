package localserver

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
)

// Each server is written to, killed, and started with another password: the data must be there, the new password
// must be the only one, and nothing may be open to others or tell a secret to `ps`.
func TestServersRestartWithTheirData(t *testing.T) {
	const first, second = "first-password-0001", "second-password-0002"
	tests := []struct {
		name  string
		build func(t *testing.T, password string) Instance
		write func(i Instance) error
		check func(i Instance) error
	}{
		{"mysql", buildMySQL(t), writeMySQL, checkMySQL},
		{"redis", buildRedis(t), writeRedis, checkRedis},
		{"rabbitmq", buildRabbitMQ(t), writeRabbitMQ, checkRabbitMQ},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			before := tc.build(t, first)
			p := startInstance(t, before)
			if err := tc.write(before); err != nil {
				t.Fatalf("write: %v", err)
			}
			assertNoSecretShown(t, p.PID(), first)
			p.Kill()

			after := tc.build(t, second)
			startInstance(t, after)
			if err := tc.check(after); err != nil {
				t.Errorf("after the kill: %v", err)
			}
			if err := tc.check(before); err == nil {
				t.Error("the old password still works")
			}
		})
	}
}

func buildMySQL(t *testing.T) func(*testing.T, string) Instance {
	dir, socket, ports := t.TempDir(), filepath.Join(shortDir(t), "s"), somePorts(t, 1)
	return func(_ *testing.T, password string) Instance {
		return MySQL{Programs: HostPrograms(), Data: filepath.Join(dir, "data"), Etc: dir, Socket: socket, Port: ports[0], AdminPassword: password}
	}
}

func mysqlQuery(i Instance, user, password string, statements ...string) error {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd = "tcp", fmt.Sprintf("127.0.0.1:%d", i.(MySQL).Port), user, password
	db, err := sql.Open("mysql", c.FormatDSN())
	if err != nil {
		return err
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			return err
		}
	}
	return nil
}

func writeMySQL(i Instance) error {
	for _, user := range []string{"root", ""} {
		if err := mysqlQuery(i, user, "", "SELECT 1"); err == nil {
			return fmt.Errorf("%q logs in without a password", user)
		}
	}
	return mysqlQuery(i, AdminUser, i.(MySQL).AdminPassword, "CREATE DATABASE kept", "CREATE TABLE kept.t (n INT)", "INSERT INTO kept.t VALUES (1)",
		"CREATE USER 'x'@'%' IDENTIFIED BY 'yyyyyyyy'", "GRANT SELECT ON kept.* TO 'x'@'%'")
}

func checkMySQL(i Instance) error {
	return mysqlQuery(i, AdminUser, i.(MySQL).AdminPassword, "UPDATE kept.t SET n = n + 1 LIMIT 1", "SELECT n FROM kept.t")
}

func buildRedis(t *testing.T) func(*testing.T, string) Instance {
	dir, ports := t.TempDir(), somePorts(t, 1)
	return func(_ *testing.T, password string) Instance {
		return Redis{Programs: HostPrograms(), Data: filepath.Join(dir, "data"), Etc: dir, Port: ports[0], AdminPassword: password}
	}
}

func redisClient(i Instance, user, password string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", i.(Redis).Port), Username: user, Password: password, MaxRetries: -1})
}

func writeRedis(i Instance) error {
	ctx := context.Background()
	anonymous := redisClient(i, "", "")
	defer anonymous.Close()
	if err := anonymous.Ping(ctx).Err(); err == nil {
		return fmt.Errorf("a client without a password is answered")
	}
	c := redisClient(i, AdminUser, i.(Redis).AdminPassword)
	defer c.Close()
	if err := c.Do(ctx, "ACL", "SETUSER", "app", "on", ">app-password", "~app:*", "+@all").Err(); err != nil {
		return err
	}
	if err := c.Do(ctx, "ACL", "SAVE").Err(); err != nil {
		return err
	}
	if err := c.Set(ctx, "app:k", "lost", 0).Err(); err != nil {
		return err
	}
	// A script's writes, and a transaction's, are read back as a transaction.
	if err := c.Eval(ctx, `redis.call('del', KEYS[1]) return redis.call('set', KEYS[1], 'kept')`, []string{"app:k"}).Err(); err != nil {
		return err
	}
	return inFile(ctx, c)
}

// inFile waits until Redis has written to its append-only file what it has said yes to: while it flushes the file to the
// disk, which it does every second, it puts off writing for up to two.
func inFile(ctx context.Context, c *redis.Client) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		info, err := c.InfoMap(ctx, "persistence").Result()
		if err != nil {
			return err
		}
		p := info["Persistence"]
		if p["aof_buffer_length"] == "0" && p["aof_pending_bio_fsync"] == "0" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not written after 20 s: %v", p)
		}
	}
}

func checkRedis(i Instance) error {
	ctx := context.Background()
	admin := redisClient(i, AdminUser, i.(Redis).AdminPassword)
	defer admin.Close()
	if err := admin.Ping(ctx).Err(); err != nil {
		return err
	}
	app := redisClient(i, "app", "app-password")
	defer app.Close()
	got, err := app.Get(ctx, "app:k").Result()
	if err == nil && got != "kept" {
		err = fmt.Errorf("read %q", got)
	}
	return err
}

func buildRabbitMQ(t *testing.T) func(*testing.T, string) Instance {
	dir, ports := t.TempDir(), somePorts(t, 4)
	startInstance(t, Epmd{Programs: HostPrograms(), Home: filepath.Join(dir, "data"), Port: ports[3]})
	return func(_ *testing.T, password string) Instance {
		return RabbitMQ{
			Programs: HostPrograms(), Data: filepath.Join(dir, "data"), Etc: dir, Port: ports[0], ManagementPort: ports[1],
			DistPort: ports[2], EpmdPort: ports[3], AdminPassword: password, Cookie: "a-cookie",
		}
	}
}

func rabbitmqDo(i Instance, do func(*amqp.Channel) error) error {
	r := i.(RabbitMQ)
	conn, err := amqp.Dial(r.TestURL() + "/")
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	return do(ch)
}

func writeRabbitMQ(i Instance) error {
	if err := publishToRabbitMQ(i); err != nil {
		return err
	}
	// RabbitMQ writes down which quorum queues it has a moment after it declared them; killed before, it never finds
	// such a queue's data again.
	names := filepath.Join(i.(RabbitMQ).Data, "mnesia/*/quorum/*/names.dets")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		files, err := filepath.Glob(names)
		if err != nil || len(files) != 1 {
			return fmt.Errorf("%s: %d files, %w", names, len(files), err)
		}
		if content, err := os.ReadFile(files[0]); err == nil && strings.Contains(string(content), "kept") {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the queue is not in %s", files[0])
		}
	}
}

func publishToRabbitMQ(i Instance) error {
	return rabbitmqDo(i, func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		if _, err := ch.QueueDeclare("kept", true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "kept", false, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("kept")})
		if err != nil {
			return err
		}
		if ok, err := confirm.WaitContext(ctx); err != nil || !ok {
			return fmt.Errorf("not confirmed: %w", err)
		}
		return nil
	})
}

func checkRabbitMQ(i Instance) error {
	return rabbitmqDo(i, func(ch *amqp.Channel) error {
		m, ok, err := ch.Get("kept", false)
		if err != nil || !ok || string(m.Body) != "kept" {
			return fmt.Errorf("got %q, %v, %w", m.Body, ok, err)
		}
		return nil
	})
}

func startInstance(t *testing.T, i Instance) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	command, err := i.Prepare(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(command, filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	if err := p.WaitReady(ctx, i); err != nil {
		t.Fatal(err)
	}
	return p
}

func assertNoSecretShown(t *testing.T, pid int, secret string) {
	t.Helper()
	for _, name := range []string{"cmdline", "environ"} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), secret) {
			t.Errorf("the password is in the process's %s", name)
		}
	}
}
