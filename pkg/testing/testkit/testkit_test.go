package testkit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
)

func TestDatabaseIsEmptyAndDropped(t *testing.T) {
	var d Database
	t.Run("inside", func(t *testing.T) {
		d = NewDatabase(t)
		other := NewDatabase(t)
		if d.Name == other.Name {
			t.Fatalf("two databases have the name %s", d.Name)
		}
		db := d.Open(t)
		if _, err := db.Exec("CREATE TABLE x (at DATETIME(6), s VARCHAR(9))"); err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
		if _, err := db.Exec("INSERT INTO x VALUES (?, ?)", at, "née 🎈"); err != nil {
			t.Fatal(err)
		}
		var got time.Time
		var s string
		if err := db.QueryRow("SELECT at, s FROM x").Scan(&got, &s); err != nil {
			t.Fatal(err)
		}
		if !got.Equal(at) || s != "née 🎈" {
			t.Errorf("read %v %q, want %v", got, s, at)
		}
		if _, err := db.Exec("SELECT 1; SELECT 2"); err == nil {
			t.Error("two statements in one query were taken")
		}
	})
	if err := d.Open(t).Ping(); err == nil {
		t.Errorf("database %s is still there", d.Name)
	}
}

func TestRedisKeysAreRemoved(t *testing.T) {
	ctx := context.Background()
	var r RedisServer
	client := func(t *testing.T) *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: r.Addr, Username: r.Username, Password: r.Password})
		t.Cleanup(func() { c.Close() })
		return c
	}
	t.Run("inside", func(t *testing.T) {
		r = NewRedis(t)
		if other := NewRedis(t); other.Prefix == r.Prefix || !strings.HasSuffix(r.Prefix, ":") {
			t.Fatalf("prefixes %q and %q", r.Prefix, other.Prefix)
		}
		for i := range 50 {
			if err := client(t).Set(ctx, fmt.Sprint(r.Prefix, i), "x", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
	keys, err := client(t).Keys(ctx, r.Prefix+"*").Result()
	if err != nil || len(keys) != 0 {
		t.Errorf("left behind: %v, %v", keys, err)
	}
}

func TestVhostIsRemoved(t *testing.T) {
	var b Broker
	t.Run("inside", func(t *testing.T) {
		b = NewBroker(t)
		conn, err := amqp.Dial(b.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ch.QueueDeclare("q", true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
			t.Fatal(err)
		}
		var queues []struct{ Name string }
		if err := b.Manage(http.MethodGet, "/api/queues/"+b.Vhost, nil, &queues); err != nil || len(queues) != 1 {
			t.Errorf("queues: %v, %v", queues, err)
		}
	})
	if conn, err := amqp.Dial(b.URL()); err == nil {
		conn.Close()
		t.Errorf("vhost %s is still there", b.Vhost)
	}
}

func TestLinkCutRestoreAndLatency(t *testing.T) {
	l := NewLink(t, echoServer(t))
	conn := dial(t, l)
	if err := ask(conn); err != nil {
		t.Fatal(err)
	}
	l.Cut()
	if err := ask(conn); err == nil {
		t.Error("an open connection outlived Down")
	}
	if c, err := net.Dial("tcp", l.Addr()); err == nil {
		c.Close()
		t.Error("a connection was taken while down")
	}
	l.Cut() // twice is harmless
	l.Restore()
	l.Restore()
	if err := ask(dial(t, l)); err != nil {
		t.Errorf("after Up: %v", err)
	}

	l.SetLatency(300 * time.Millisecond)
	conn = dial(t, l)
	if took := timed(t, conn); took < 250*time.Millisecond {
		t.Errorf("an answer took %v on a link slowed by 300ms", took)
	}
	l.SetLatency(0)
	Eventually(t, "after Slow(0) an answer comes sooner", func() error {
		if took := timed(t, conn); took > 250*time.Millisecond {
			return fmt.Errorf("it took %v", took)
		}
		return nil
	})
}

// An address belongs to one test, and a server may listen at it again and again.
func TestReserveAddr(t *testing.T) {
	reserved := map[string]bool{}
	for range 50 {
		addr := ReserveAddr(t)
		if reserved[addr] {
			t.Errorf("%s was given twice", addr)
		}
		reserved[addr] = true
	}
	for addr := range reserved {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("a listener is at %s", addr)
		}
		for range 2 {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if reserved[c.LocalAddr().String()] {
				t.Errorf("%s was given to a client", c.LocalAddr())
			}
			c.Close()
			l.Close()
		}
	}
	for range 2000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if reserved[l.Addr().String()] {
			t.Errorf("%s was given to another", l.Addr())
		}
		l.Close()
	}
}

func TestEventually(t *testing.T) {
	calls := 0
	Eventually(t, "the third call", func() error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
}

func echoServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					if _, err := c.Write([]byte(line)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, l *Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ask(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return err
	}
	_, err := bufio.NewReader(c).ReadString('\n')
	return err
}

func timed(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	if err := ask(c); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}
