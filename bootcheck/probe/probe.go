// Package probe finds out whether MySQL, Redis and RabbitMQ really serve: it logs in over TCP and asks something.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/zap"

	"pgo/bootcheck/server"
	"pgo/pkg/mq"
)

// tryTimeout bounds one try.
const tryTimeout = 5 * time.Second

// Target is one server to wait for. Check returns nil when it serves, else an error in words for people.
type Target struct {
	Name, Addr string
	Check      func(ctx context.Context) error
}

// Targets returns the three servers.
func Targets(s server.Servers) []Target {
	return []Target{
		{"MySQL", s.MySQL.Addr, func(ctx context.Context) error { return MySQL(ctx, s.MySQL) }},
		{"Redis", s.Redis.Addr, func(ctx context.Context) error { return Redis(ctx, s.Redis) }},
		{"RabbitMQ", s.RabbitMQ.Addr, func(ctx context.Context) error { return RabbitMQ(ctx, s.RabbitMQ) }},
	}
}

// MySQL logs in and runs a query. A server that takes no writes does not serve.
func MySQL(ctx context.Context, a server.Access) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	db, err := server.OpenMySQL(a, "")
	if err != nil {
		return err
	}
	defer db.Close()
	var readOnly string // 0 or 1, or a word on newer MariaDB
	err = db.QueryRowContext(ctx, "SELECT @@GLOBAL.read_only").Scan(&readOnly)
	var said *mysql.MySQLError
	switch {
	case errors.As(err, &said) && (said.Number == 1045 || said.Number == 1698):
		return refuses(a.Username, said.Message)
	case errors.As(err, &said):
		return fmt.Errorf("it answers error %d: %s", said.Number, said.Message)
	case err != nil:
		return plain(err)
	case readOnly != "0" && readOnly != "OFF":
		return errors.New("it is read-only")
	}
	return nil
}

// Redis authenticates and sends a PING. One that is still loading its data does not serve.
func Redis(ctx context.Context, a server.Access) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	c := server.OpenRedis(a)
	defer c.Close()
	err := c.Ping(ctx).Err()
	if err == nil {
		return nil
	}
	said := err.Error()
	switch {
	case strings.Contains(said, "LOADING"):
		return errors.New("it is still loading its data")
	case strings.Contains(said, "WRONGPASS"), strings.Contains(said, "NOAUTH"), strings.Contains(said, "invalid username-password"):
		return refuses(a.Username, said)
	}
	return plain(err)
}

// RabbitMQ asks the management API and opens a real AMQP connection with a channel.
func RabbitMQ(ctx context.Context, r server.RabbitMQ) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	vhost := r.Vhost
	var said *server.StatusError
	err := server.NewManagement(r).Do(ctx, http.MethodGet, nil, nil, "vhosts", r.Vhost)
	switch {
	case errors.As(err, &said) && said.Status == http.StatusNotFound:
		vhost = "/" // ours is not made yet
	case errors.As(err, &said) && (said.Status == http.StatusUnauthorized || said.Status == http.StatusForbidden):
		return refuses(r.Username, "management API: "+said.Body)
	case err != nil:
		return fmt.Errorf("management API at %s: %w", r.API, plain(err))
	}
	return openAMQP(ctx, r, vhost)
}

func openAMQP(ctx context.Context, r server.RabbitMQ, vhost string) error {
	conn := mq.Connect(r.MQ(vhost), zap.NewNop())
	defer func() { _ = conn.Close(ctx) }()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		err := conn.Check(ctx)
		if err == nil {
			return nil
		}
		if strings.Contains(err.Error(), "ACCESS_REFUSED") || strings.Contains(err.Error(), "username or password") {
			return refuses(r.Username, err.Error())
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return plain(err)
		case <-tick.C:
		}
	}
}

func refuses(username, said string) error {
	if username == "" {
		return fmt.Errorf("it refuses our password (%s)", said)
	}
	return fmt.Errorf("it refuses the account %s or its password (%s)", username, said)
}

// plain says the commonest failures in words that need no knowledge of Go or of system calls.
func plain(err error) error {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.As(err, &dns):
		return fmt.Errorf("the name %s cannot be resolved", dns.Name)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer within %s", tryTimeout)
	}
	return err
}
