package probe_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgo/bootcheck/internal/fixture"
	"pgo/bootcheck/probe"
	"pgo/bootcheck/server"
	"pgo/pkg/testing/testkit"
)

// TestProbeOfRedisThatTakesNoWrites brings a Redis into the states in which it answers a PING and refuses writes.
func TestProbeOfRedisThatTakesNoWrites(t *testing.T) {
	own, other := testkit.NewOwnRedis(t), testkit.NewRedis(t)
	access := server.Access{Addr: own.Addr, Username: own.Username, Password: own.Password}
	check := targetChecks(server.Servers{Redis: access})["Redis"]
	admin := server.OpenRedis(access)
	defer admin.Close()
	host, port, _ := strings.Cut(other.Addr, ":")
	tests := []struct {
		name         string
		break_, mend []any
		want         string
	}{
		{"full", []any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}, "its memory is full"},
		{"too few replicas", []any{"CONFIG", "SET", "min-replicas-to-write", "1"}, []any{"CONFIG", "SET", "min-replicas-to-write", "0"}, "fewer replicas"},
		{"replica", []any{"REPLICAOF", host, port}, []any{"REPLICAOF", "NO", "ONE"}, "a read-only replica"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := check(t.Context()); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := admin.Do(t.Context(), tt.break_...).Err(); err != nil {
				t.Fatal(err)
			}
			if err := check(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if err := admin.Do(t.Context(), tt.mend...).Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestProbeOfMySQLThatTakesNoWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server of its own")
	}
	d := testkit.NewOwnDatabase(t)
	check := targetChecks(server.Servers{MySQL: server.Access{Addr: d.Addr, Username: d.User, Password: d.Password}})["MySQL"]
	if err := check(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin := d.Open(t)
	if _, err := admin.ExecContext(t.Context(), "SET GLOBAL read_only = 1"); err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context()); err == nil || err.Error() != "it is read-only" {
		t.Errorf("read-only: got %v", err)
	}
	// The gate's table is lost.
	for _, query := range []string{"SET GLOBAL read_only = 0", "DROP TABLE " + probe.Database + ".probe"} {
		if _, err := admin.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
		if err := check(t.Context()); err != nil {
			t.Errorf("%s: got %v", query, err)
		}
	}
	for _, query := range []string{"DROP TABLE " + probe.Database + ".probe", "CREATE VIEW " + probe.Database + ".probe AS SELECT 1 id"} {
		if _, err := admin.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := check(t.Context()); err == nil || !strings.Contains(err.Error(), "it refuses a write: error ") {
		t.Errorf("a refused write: got %v", err)
	}
}

func TestProbeOfRabbitMQWithAlarm(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a broker of its own")
	}
	b, control := testkit.NewOwnBroker(t)
	r := server.RabbitMQ{Access: server.Access{Addr: b.Addr, Username: b.Username, Password: b.Password}, API: b.API, Vhost: b.Vhost}
	check := targetChecks(server.Servers{RabbitMQ: r})["RabbitMQ"]
	if err := check(t.Context()); err != nil {
		t.Fatal(err)
	}
	control("set_vm_memory_high_watermark", "absolute", "1MB")
	testkit.Eventually(t, "the alarm is reported", func() error {
		if err := check(t.Context()); err == nil || !strings.Contains(err.Error(), "it has an alarm (memory)") {
			return errors.Join(errors.New("got another result"), err)
		}
		return nil
	})
}

func TestSendMessage(t *testing.T) {
	r := fixture.Servers(t).RabbitMQ
	m := server.NewManagement(r)
	if err := probe.SendMessage(t.Context(), m, r.Vhost, "x"); err != nil {
		t.Fatal(err)
	}
	if err := m.Do(t.Context(), http.MethodGet, nil, nil, "queues", r.Vhost, "pgo.bootcheck.x"); !server.IsNotFound(err) {
		t.Errorf("the queue is still there: %v", err)
	}
	if err := probe.SendMessage(t.Context(), m, "not-made", "x"); err == nil {
		t.Error("no error for a vhost that does not exist")
	}
}

// TestAwaitAllWantsSuccessesInARow lets a server fail after its first success.
func TestAwaitAllWantsSuccessesInARow(t *testing.T) {
	var calls atomic.Int32
	target := probe.Target{Name: "S", Addr: "addr", Check: func(context.Context) error {
		if calls.Add(1) == 2 {
			return errors.New("restarting")
		}
		return nil
	}}
	if err := probe.AwaitAll(t.Context(), []probe.Target{target}, probe.Options{Deadline: time.Minute, Successes: 2, OnProgress: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	if n := calls.Load(); n != 4 {
		t.Errorf("%d checks, want 4: one that passes, one that fails, two that pass", n)
	}
}
