package cache

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"

	"pgo/pkg/config"
)

// Config locates Redis and sets the limits of its use.
type Config struct {
	Addr     string        `config:"addr"`
	Username string        `config:"username"`
	Password config.Secret `config:"password"`
	Prefix   string        `config:"prefix"`  // begins every key; the account may use no other
	Timeout  time.Duration `config:"timeout"` // for dialling and for each answer; a slower Redis counts as unavailable
	TTL      time.Duration `config:"ttl"`     // life of an entry, and of a stale one
}

// Defaults returns limits that fit a server on the same host.
func Defaults() Config {
	return Config{Addr: "127.0.0.1:6379", Timeout: 250 * time.Millisecond, TTL: 30 * time.Second}
}

// Validate checks the section at key.
func (cfg Config) Validate(c *config.Check, key string) {
	c.ExpectAddr(key+".addr", cfg.Addr, "127.0.0.1:6379")
	c.Expect(cfg.Prefix != "", key+".prefix", "the start of this service's keys, such as user:")
	c.Expect(cfg.Timeout > 0, key+".timeout", "a duration above 0")
	c.Expect(cfg.TTL >= time.Second, key+".ttl", "a duration of at least 1s")
	c.ExpectSecret(key+".password", cfg.Password)
}

// Open returns a client without connecting. The caller closes it.
func Open(cfg Config) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: cfg.Addr, Username: cfg.Username, Password: cfg.Password.Reveal(),
		DialTimeout: cfg.Timeout, ReadTimeout: cfg.Timeout, WriteTimeout: cfg.Timeout, PoolTimeout: cfg.Timeout,
		ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, // one try: MySQL can answer
		DisableIdentity:          true, // CLIENT SETINFO is not among the account's rights
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// SetLibraryLogger sends what the Redis library prints about its connections to log at debug level; what matters also comes
// back as an error. The library has one logger in a process.
func SetLibraryLogger(log *zap.Logger) { redis.SetLogger(libraryLogger{log.Sugar()}) }

type libraryLogger struct{ log *zap.SugaredLogger }

func (l libraryLogger) Printf(_ context.Context, format string, v ...any) { l.log.Debugf(format, v...) }

// NewPingCheck returns a check for package health: Redis answers a ping.
func NewPingCheck(c *redis.Client) func(context.Context) error {
	return func(ctx context.Context) error { return c.Ping(ctx).Err() }
}
