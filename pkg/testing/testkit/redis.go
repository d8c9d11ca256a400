package testkit

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisServer is a Redis and a prefix for this test's keys and channels.
type RedisServer struct {
	Addr     string // host:port
	Username string // "" where the server has a password alone
	Password string
	Prefix   string // ends with a colon
}

// NewRedis returns a server and a prefix that no other test has. Keys under it are removed when the test ends.
func NewRedis(t testing.TB) RedisServer {
	t.Helper()
	server, err := redisServer()
	if err != nil {
		t.Fatalf("this test needs Redis: %v", err)
	}
	r := RedisServer{Addr: server.addr, Username: server.user, Password: server.password, Prefix: uniqueName(t, "t-") + ":"}
	client := redis.NewClient(&redis.Options{Addr: r.Addr, Username: r.Username, Password: r.Password})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		client.Close()
		t.Fatalf("this test needs Redis: %v", err)
	}
	t.Cleanup(func() {
		defer client.Close()
		if err := removeKeys(client, r.Prefix); err != nil {
			t.Errorf("remove the test's keys: %v", err)
		}
	})
	return r
}

// NewOwnRedis starts a server of the test's own, whose settings the test may change. It ends with the test.
func NewOwnRedis(t testing.TB) RedisServer {
	t.Helper()
	server, err := newScratch(t).Redis(context.Background())
	if err != nil {
		t.Fatalf("this test needs a Redis of its own: %v", err)
	}
	a, err := parseAccount(server.TestURL())
	if err != nil {
		t.Fatal(err)
	}
	return RedisServer{Addr: a.addr, Username: a.user, Password: a.password, Prefix: uniqueName(t, "t-") + ":"}
}

func removeKeys(client *redis.Client, prefix string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	keys := client.Scan(ctx, 0, prefix+"*", 1000).Iterator()
	for keys.Next(ctx) {
		if err := client.Unlink(ctx, keys.Val()).Err(); err != nil {
			return err
		}
	}
	return keys.Err()
}
