// Package testkit gives a test real servers of its own corner: a fresh NewDatabase database, a Redis key prefix, a NewBroker
// vhost, a link that can be cut.
//
// The servers come from PGO_TEST_MYSQL (user:password@host:port), PGO_TEST_REDIS (redis://user:password@host:port),
// PGO_TEST_RABBITMQ (amqp://user:password@host:port) and PGO_TEST_RABBITMQ_API (http://user:password@host:port), with
// administrators' accounts. Where one is not set, the test binary starts a private server at the first test that needs
// it; it ends with the binary, also when that is killed. A server that cannot be had fails the test: nothing is
// skipped.
package testkit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"pgo/pkg/testing/localserver"
)

// private holds the servers of this test binary. They are the process's, not a test's: a server takes seconds to
// start, tests run at the same time, and there is no object that outlives one test for them to be passed by.
var private privateServers

type privateServers struct {
	scratch            lazy[*localserver.Scratch]
	mysql, redis, amqp lazy[account]
}

// An account is a server's address and its administrator.
type account struct {
	addr, user, password string
	api                  string // NewBroker's management API, without credentials
}

// lazy runs a function a single time and gives every caller its result.
type lazy[T any] struct {
	sync.Once
	value T
	err   error
}

func (o *lazy[T]) get(f func() (T, error)) (T, error) {
	o.Do(func() { o.value, o.err = f() })
	return o.value, o.err
}

// startScratch returns the directory of private servers, made at the first call. It is never closed: the kernel ends the servers
// with the test binary, and the directory's janitor removes it.
func (p *privateServers) startScratch() (*localserver.Scratch, error) {
	return p.scratch.get(func() (*localserver.Scratch, error) { return localserver.NewScratch(localserver.HostPrograms()) })
}

// newScratch returns a directory of servers that end with the test.
func newScratch(t testing.TB) *localserver.Scratch {
	t.Helper()
	scratch, err := localserver.NewScratch(localserver.HostPrograms())
	if err != nil {
		t.Fatalf("this test needs servers of its own: %v", err)
	}
	t.Cleanup(func() {
		if err := scratch.Close(); err != nil {
			t.Errorf("end the test's own servers: %v", err)
		}
	})
	return scratch
}

func mysqlServer() (account, error) {
	return private.mysql.get(func() (account, error) {
		return accountFrom("PGO_TEST_MYSQL", "mysql://", func(s *localserver.Scratch) (string, error) {
			m, err := s.MySQL(context.Background())
			return m.TestURL(), err
		})
	})
}

func redisServer() (account, error) {
	return private.redis.get(func() (account, error) {
		return accountFrom("PGO_TEST_REDIS", "", func(s *localserver.Scratch) (string, error) {
			r, err := s.Redis(context.Background())
			return r.TestURL(), err
		})
	})
}

func rabbitmqServer() (account, error) {
	return private.amqp.get(func() (account, error) {
		api := os.Getenv("PGO_TEST_RABBITMQ_API")
		a, err := accountFrom("PGO_TEST_RABBITMQ", "", func(s *localserver.Scratch) (string, error) {
			r, err := s.RabbitMQ(context.Background())
			api = r.TestAPI()
			return r.TestURL(), err
		})
		if err != nil {
			return a, err
		}
		u, err := url.Parse(api)
		if err != nil || u.Host == "" {
			return a, fmt.Errorf("PGO_TEST_RABBITMQ_API is not like http://user:password@host:port")
		}
		a.api = u.Scheme + "://" + u.Host
		return a, nil
	})
}

// accountFrom reads the account from the environment, or from the server that start starts.
func accountFrom(variable, scheme string, start func(*localserver.Scratch) (string, error)) (account, error) {
	value := os.Getenv(variable)
	if value == "" {
		scratch, err := private.startScratch()
		if err != nil {
			return account{}, err
		}
		if value, err = start(scratch); err != nil {
			return account{}, err
		}
	}
	a, err := parseAccount(scheme + value)
	if err != nil {
		return account{}, fmt.Errorf("%s is %w", variable, err)
	}
	return a, nil
}

func parseAccount(address string) (account, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User == nil {
		// The parser's error would show the password.
		return account{}, errors.New("not like user:password@host:port")
	}
	password, _ := u.User.Password()
	return account{addr: u.Host, user: u.User.Username(), password: password}, nil
}

// uniqueName is a short name no other test has, also on a server that outlives the test run.
func uniqueName(t testing.TB, prefix string) string {
	t.Helper()
	b := make([]byte, 6)
	rand.Read(b)
	return prefix + strings.ToLower(hex.EncodeToString(b))
}
