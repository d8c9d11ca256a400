package probe_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"pgo/bootcheck/internal/fixture"
	"pgo/bootcheck/probe"
	"pgo/bootcheck/server"
	"pgo/pkg/testing/testkit"
)

// targetChecks returns the check of each server by its name.
func targetChecks(s server.Servers) map[string]func(context.Context) error {
	out := map[string]func(context.Context) error{}
	for _, t := range probe.NewTargets(s) {
		out[t.Name] = t.Check
	}
	return out
}

// serveConnections calls handle for every connection until the test ends.
func serveConnections(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	t.Cleanup(func() { close(done); l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				go func() { <-done; c.Close() }()
				handle(c)
			})
		}
	})
	return l.Addr().String()
}

func withAddr(s server.Servers, addr string) server.Servers {
	s.MySQL.Addr, s.Redis.Addr, s.RabbitMQ.Addr, s.RabbitMQ.API = addr, addr, addr, "http://"+addr
	return s
}

func TestProbe(t *testing.T) {
	real := fixture.Servers(t)
	closed := testkit.ReserveAddr(t)
	silent := serveConnections(t, func(c net.Conn) { _, _ = bufio.NewReader(c).ReadString(0) })
	wrong := real
	wrong.MySQL.Password, wrong.Redis.Password, wrong.RabbitMQ.Password = "wrong", "wrong", "wrong"
	noAPI := real
	noAPI.RabbitMQ.API = "http://" + closed
	noVhost := real
	noVhost.RabbitMQ.Vhost = "not-made-yet"
	noAMQP := real
	noAMQP.RabbitMQ.Addr = closed
	loading := serveConnections(t, func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			if line, err := r.ReadString('\n'); err != nil {
				return
			} else if strings.HasPrefix(line, "*") {
				_, _ = c.Write([]byte("-LOADING Redis is loading the dataset in memory\r\n"))
			}
		}
	})

	tests := []struct {
		name    string
		servers server.Servers
		target  string
		want    string // of the error; "" for none
	}{
		{"serves", real, "MySQL", ""},
		{"serves", real, "Redis", ""},
		{"serves", real, "RabbitMQ", ""},
		{"no listener", withAddr(real, closed), "MySQL", "connection refused"},
		{"no listener", withAddr(real, closed), "Redis", "connection refused"},
		{"no listener", withAddr(real, closed), "RabbitMQ", "connection refused"},
		{"silent", withAddr(real, silent), "MySQL", "no answer within 5s"},
		{"silent", withAddr(real, silent), "Redis", "no answer within 5s"},
		{"silent", withAddr(real, silent), "RabbitMQ", "no answer within 5s"},
		{"wrong password", wrong, "MySQL", "it refuses the account " + real.MySQL.Username},
		{"wrong password", wrong, "Redis", "it refuses the account " + real.Redis.Username},
		{"wrong password", wrong, "RabbitMQ", "it refuses the account " + real.RabbitMQ.Username},
		{"loading", withAddr(real, loading), "Redis", "still loading its data"},
		{"only AMQP", noAPI, "RabbitMQ", "management API at http://"},
		{"only the management API", noAMQP, "RabbitMQ", "connection refused"},
		{"vhost not made yet", noVhost, "RabbitMQ", ""},
	}
	for _, tt := range tests {
		t.Run(tt.target+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			err := targetChecks(tt.servers)[tt.target](t.Context())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAwaitAllReturnsAtDeadline(t *testing.T) {
	real := fixture.Servers(t)
	link := testkit.NewLink(t, real.MySQL.Addr)
	link.Cut()
	real.MySQL.Addr = link.Addr()
	progress := make(chan string, 100)
	err := probe.AwaitAll(t.Context(), probe.NewTargets(real), probe.Options{Deadline: 5 * time.Second, OnProgress: func(s string) { progress <- s }})
	var missing *probe.MissingError
	if !errors.As(err, &missing) || err.Error() != "not available after 5s: MySQL at "+link.Addr()+": connection refused" {
		t.Errorf("got %v", err)
	}
	close(progress)
	all := ""
	for s := range progress {
		all += s + "\n"
	}
	waiting := regexp.MustCompile(`(?m)^waiting for MySQL at ` + regexp.QuoteMeta(link.Addr()) + ` \(\ds\): connection refused; giving up in \ds$`)
	if len(waiting.FindAllString(all, -1)) != 1 {
		t.Errorf("progress:\n%s", all)
	}
	if !strings.Contains(all, "Redis at "+real.Redis.Addr+" serves") {
		t.Errorf("progress:\n%s", all)
	}
}

func TestAwaitAllWaitsForLateServer(t *testing.T) {
	real := fixture.Servers(t)
	link := testkit.NewLink(t, real.Redis.Addr)
	link.Cut()
	real.Redis.Addr = link.Addr()
	err := probe.AwaitAll(t.Context(), probe.NewTargets(real), probe.Options{Deadline: 30 * time.Second, OnProgress: func(s string) {
		if strings.HasPrefix(s, "waiting for Redis") {
			link.Restore()
		}
	}})
	if err != nil {
		t.Error(err)
	}
}

func TestAwaitAllReturnsWithContext(t *testing.T) {
	real := fixture.Servers(t)
	real.MySQL.Addr = "127.0.0.1:1"
	ctx, cancel := context.WithCancel(t.Context())
	err := probe.AwaitAll(ctx, probe.NewTargets(real), probe.Options{Deadline: time.Minute, OnProgress: func(string) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
