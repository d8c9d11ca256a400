// Package server opens MySQL, Redis and RabbitMQ as the administrator that bootcheck is.
package server

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"pgo/pkg/mq"
)

// Access is how one server is reached.
type Access struct {
	Addr, Username, Password string
}

// RabbitMQ is reached in two ways: AMQP, and its management API for accounts.
type RabbitMQ struct {
	Access
	API   string // base URL of the management API
	Vhost string // the one that the services share
}

// Servers are all three.
type Servers struct {
	MySQL    Access
	Redis    Access
	RabbitMQ RabbitMQ
}

const dialTimeout = 3 * time.Second

// OpenMySQL returns a pool of connections to database (none when empty), always over TCP: the socket of a server
// that is initialising answers too early. Nothing is dialled yet. There is no read timeout, since a migration may
// take long: callers bound what should not.
func OpenMySQL(a Access, database string) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", a.Addr, a.Username, a.Password, database
	c.Collation = "utf8mb4_unicode_ci"
	c.ParseTime, c.Loc = true, time.UTC
	c.Timeout = dialTimeout
	c.InterpolateParams = true // CREATE USER cannot be prepared
	c.Logger = silent{}        // what it says also comes back as an error
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("configure MySQL at %s: %w", a.Addr, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(time.Minute)
	return db, nil
}

type silent struct{}

func (silent) Print(...any)                           {}
func (silent) Printf(context.Context, string, ...any) {}

// OpenRedis returns a client that dials when it is used and never retries by itself.
func OpenRedis(a Access) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: a.Addr, Username: a.Username, Password: a.Password,
		DialTimeout: dialTimeout, ReadTimeout: dialTimeout, WriteTimeout: dialTimeout,
		MaxRetries: -1, DialerRetries: 1, PoolSize: 2, ClientName: "bootcheck",
	})
}

// MQ returns how pkg/mq reaches the broker's vhost.
func (r RabbitMQ) MQ(vhost string) mq.Config {
	return mq.Config{Addr: r.Addr, Vhost: vhost, Username: r.Username, Password: r.Password, Name: "bootcheck", DialTimeout: dialTimeout}
}

// QuietRedis silences what the Redis library prints beside the errors that it returns. It is the process's: call
// it first of all.
func QuietRedis() { redis.SetLogger(silent{}) }
