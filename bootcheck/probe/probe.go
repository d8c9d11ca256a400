// Package probe checks whether MySQL, Redis and RabbitMQ serve: it logs in over TCP and runs a command.
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

// tryTimeout bounds one check.
const tryTimeout = 5 * time.Second

// Target is a server to wait for. Check returns nil if the server serves, else an error that a person understands.
type Target struct {
	Name, Addr string
	Check      func(ctx context.Context) error
}

// NewTargets returns the three servers as targets. They serve once they also take writes.
func NewTargets(s server.Servers) []Target {
	return []Target{
		{"MySQL", s.MySQL.Addr, func(ctx context.Context) error { return probeMySQL(ctx, s.MySQL) }},
		{"Redis", s.Redis.Addr, func(ctx context.Context) error { return probeRedis(ctx, s.Redis) }},
		{"RabbitMQ", s.RabbitMQ.Addr, func(ctx context.Context) error { return probeRabbitMQ(ctx, s.RabbitMQ) }},
	}
}

func probeMySQL(ctx context.Context, a server.Access) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	if err := CheckMySQL(ctx, a); err != nil {
		return err
	}
	db, err := server.OpenMySQL(a, "")
	if err != nil {
		return err
	}
	defer db.Close()
	return WriteMySQL(ctx, db)
}

func probeRedis(ctx context.Context, a server.Access) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	if err := CheckRedis(ctx, a); err != nil {
		return err
	}
	c := server.OpenRedis(a)
	defer c.Close()
	return WriteRedis(ctx, c, "pgo:")
}

func probeRabbitMQ(ctx context.Context, r server.RabbitMQ) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	if err := CheckRabbitMQ(ctx, r); err != nil {
		return err
	}
	return CheckAlarms(ctx, server.NewManagement(r))
}

// CheckMySQL logs in and runs a query. It returns an error for a read-only server, too.
func CheckMySQL(ctx context.Context, a server.Access) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	db, err := server.OpenMySQL(a, "")
	if err != nil {
		return err
	}
	defer db.Close()
	var readOnly string // 0 or 1, or a word on newer MariaDB
	err = db.QueryRowContext(ctx, "SELECT @@GLOBAL.read_only").Scan(&readOnly)
	var serverErr *mysql.MySQLError
	switch {
	case errors.As(err, &serverErr) && (serverErr.Number == 1045 || serverErr.Number == 1698):
		return newRefusedError(a.Username, serverErr.Message)
	case errors.As(err, &serverErr):
		return fmt.Errorf("it answers error %d: %s", serverErr.Number, serverErr.Message)
	case err != nil:
		return simplifyError(err)
	case readOnly != "0" && readOnly != "OFF":
		return errors.New("it is read-only")
	}
	return nil
}

// CheckRedis authenticates and sends a PING. It returns an error while Redis loads its data.
func CheckRedis(ctx context.Context, a server.Access) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	c := server.OpenRedis(a)
	defer c.Close()
	err := c.Ping(ctx).Err()
	if err == nil {
		return nil
	}
	reply := err.Error()
	switch {
	case strings.Contains(reply, "LOADING"):
		return errors.New("it is still loading its data")
	case strings.Contains(reply, "WRONGPASS"), strings.Contains(reply, "NOAUTH"), strings.Contains(reply, "invalid username-password"):
		return newRefusedError(a.Username, reply)
	}
	return simplifyError(err)
}

// CheckRabbitMQ calls the management API and opens an AMQP connection with a channel.
func CheckRabbitMQ(ctx context.Context, r server.RabbitMQ) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	vhost := r.Vhost
	var status *server.StatusError
	err := server.NewManagement(r).Do(ctx, http.MethodGet, nil, nil, "vhosts", r.Vhost)
	switch {
	case errors.As(err, &status) && status.Status == http.StatusNotFound:
		vhost = "/" // the services' vhost does not exist yet
	case errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden):
		return newRefusedError(r.Username, "management API: "+status.Body)
	case err != nil:
		return fmt.Errorf("management API at %s: %w", r.API, simplifyError(err))
	}
	return OpenAMQP(ctx, r, vhost)
}

// OpenAMQP opens a connection and a channel with r's account.
func OpenAMQP(ctx context.Context, r server.RabbitMQ, vhost string) error {
	conn := mq.Connect(r.AMQPConfig(vhost), zap.NewNop())
	defer func() { _ = conn.Close(ctx) }()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		err := conn.Check(ctx)
		if err == nil {
			return nil
		}
		if strings.Contains(err.Error(), "ACCESS_REFUSED") || strings.Contains(err.Error(), "username or password") {
			return newRefusedError(r.Username, err.Error())
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return simplifyError(err)
		case <-tick.C:
		}
	}
}

func newRefusedError(username, reply string) error {
	if username == "" {
		return fmt.Errorf("it refuses our password (%s)", reply)
	}
	return fmt.Errorf("it refuses the account %s or its password (%s)", username, reply)
}

// simplifyError words the most frequent failures without terms of Go or of system calls.
func simplifyError(err error) error {
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
