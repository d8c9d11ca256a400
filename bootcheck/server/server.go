// Package server opens MySQL, Redis and RabbitMQ with an administrator's account.
package server

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"pgo/pkg/migrate"
	"pgo/pkg/mq"
	"pgo/pkg/mysql/session"
)

// Access is the address of a server and an account on it.
type Access struct {
	Addr, Username, Password string
}

// RabbitMQ is the access to a broker over AMQP and over its management API.
type RabbitMQ struct {
	Access
	API   string // base URL of the management API
	Vhost string // shared by the services
}

// Servers holds the access to the three servers.
type Servers struct {
	MySQL    Access
	Redis    Access
	RabbitMQ RabbitMQ
}

const dialTimeout = 3 * time.Second

// OpenMySQL returns a pool of connections to database, or to none if it is "". It does not dial. Connections use TCP: a
// server that is still initialising already answers on its socket. They have no read timeout, since a migration may take
// long: callers bound other calls by their contexts.
func OpenMySQL(a Access, database string) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", a.Addr, a.Username, a.Password, database
	c.Collation = "utf8mb4_unicode_ci"
	c.ParseTime, c.Loc = true, time.UTC
	c.Timeout = dialTimeout
	c.InterpolateParams = true // CREATE USER cannot be prepared
	c.Logger = silentLogger{}  // its messages are also returned as errors
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("configure MySQL at %s: %w", a.Addr, err)
	}
	db := sql.OpenDB(session.NewConnector(connector, session.Settings{SQLMode: migrate.SQLMode}))
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(time.Minute)
	return db, nil
}

type silentLogger struct{}

func (silentLogger) Print(...any)                           {}
func (silentLogger) Printf(context.Context, string, ...any) {}

// OpenRedis returns a client that dials when it is used and never retries by itself.
func OpenRedis(a Access) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: a.Addr, Username: a.Username, Password: a.Password,
		DialTimeout: dialTimeout, ReadTimeout: dialTimeout, WriteTimeout: dialTimeout,
		MaxRetries: -1, DialerRetries: 1, PoolSize: 2, ClientName: "bootcheck",
	})
}

// AMQPConfig returns pkg/mq's configuration for a vhost of the broker.
func (r RabbitMQ) AMQPConfig(vhost string) mq.Config {
	return mq.Config{Addr: r.Addr, Vhost: vhost, Username: r.Username, Password: r.Password, Name: "bootcheck", DialTimeout: dialTimeout}
}

// SilenceRedis turns off the Redis library's own log, which repeats returned errors. It applies to the whole process: call
// it before the library is used.
func SilenceRedis() { redis.SetLogger(silentLogger{}) }
