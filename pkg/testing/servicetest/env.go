// Package servicetest runs a service's whole program in a test, as main does, on real servers that the test can cut off,
// and makes calls to it. It knows nothing of any one service.
//
// Every failure names what was wanted and what came; what waits for something waits for a condition, never for a time.
package servicetest

import (
	"context"
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

// Service is the program under test.
type Service struct {
	Name       string
	Migrations fs.FS
	Topology   mq.Topology
	// Run does what main does: it returns the exit code when ctx ends or the command is done.
	Run       func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int
	ConfigDir string // the configuration directory, relative to the test's

	// Secrets must never be in a log. Logs are also searched for tokens.
	Secrets []string
}

// Env is the environment of one or more instances of a service: a migrated database, declared queues, and links to the
// servers that a test can cut.
type Env struct {
	DB     testkit.Database
	Redis  testkit.RedisServer
	Broker testkit.Broker

	MySQLLink, RedisLink, BrokerLink *testkit.Link // between the instances and their servers

	// Environ is the environment of every instance and command. Add to it before the first of them.
	Environ []string

	t         testing.TB
	service   Service
	recorders atomic.Int32

	mu   sync.Mutex
	conn *mq.Conn // for events, once there are any
}

// NewEnv returns an environment that ends with the test.
func NewEnv(t testing.TB, s Service) *Env {
	t.Helper()
	w := &Env{DB: NewDatabase(t, s.Migrations).Database, Redis: testkit.NewRedis(t), Broker: testkit.NewBroker(t), service: s, t: t}
	if err := mq.Declare(t.Context(), w.brokerConfig(), s.Topology); err != nil {
		t.Fatal(err)
	}
	w.MySQLLink, w.RedisLink, w.BrokerLink = testkit.NewLink(t, w.DB.Addr), testkit.NewLink(t, w.Redis.Addr), testkit.NewLink(t, w.Broker.Addr)
	w.Environ = []string{
		"PGO_CONFIG_DIR=" + s.ConfigDir, "PGO_ENV=test",
		"PGO_CFG_HTTP__ADDR=127.0.0.1:0", "PGO_CFG_HTTP__DRAIN_TIMEOUT=1s",
		"PGO_CFG_MYSQL__ADDR=" + w.MySQLLink.Addr(), "PGO_CFG_MYSQL__USERNAME=" + w.DB.User, "PGO_CFG_MYSQL__PASSWORD=" + w.DB.Password, "PGO_CFG_MYSQL__DATABASE=" + w.DB.Name,
		"PGO_CFG_REDIS__ADDR=" + w.RedisLink.Addr(), "PGO_CFG_REDIS__USERNAME=" + w.Redis.Username, "PGO_CFG_REDIS__PASSWORD=" + w.Redis.Password, "PGO_CFG_REDIS__PREFIX=" + w.Redis.Prefix,
		"PGO_CFG_REDIS__TIMEOUT=10s", // a busy machine must not look like an unavailable Redis
		"PGO_CFG_RABBITMQ__ADDR=" + w.BrokerLink.Addr(), "PGO_CFG_RABBITMQ__USERNAME=" + w.Broker.Username, "PGO_CFG_RABBITMQ__PASSWORD=" + w.Broker.Password, "PGO_CFG_RABBITMQ__VHOST=" + w.Broker.Vhost,
	}
	return w
}

// RunCommand runs a command of the program, and returns its exit code and its output.
func (w *Env) RunCommand(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return w.service.RunCommand(t.Context(), slices.Clone(w.Environ), args...)
}

// brokerConfig connects to the broker as its administrator, past the link.
func (w *Env) brokerConfig() mq.Config {
	return mq.Config{
		Addr: w.Broker.Addr, Vhost: w.Broker.Vhost, Username: w.Broker.Username, Password: w.Broker.Password,
		PublishTimeout: 30 * time.Second, // a busy machine must not look like an unavailable broker
	}
}
