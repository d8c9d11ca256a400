package throttle_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/testing/testkit"
	"pgo/services/user/throttle"
)

func TestAttemptsMetric(t *testing.T) {
	server := testkit.NewRedis(t)
	link := testkit.NewLink(t, server.Addr)
	cfg := cache.Defaults()
	cfg.Addr, cfg.Username, cfg.Password, cfg.Timeout = link.Addr(), server.Username, config.Secret(server.Password), 5*time.Second
	client := cache.Open(cfg)
	t.Cleanup(func() { client.Close() })
	limits := throttle.New(client, server.Prefix, func() throttle.Limits {
		return throttle.Limits{Window: time.Minute, Pair: 2, Account: 10, Address: 10}
	}, zap.NewNop())
	reg := prometheus.NewRegistry()
	reg.MustRegister(limits)
	for range 3 {
		limits.CountAttempt(context.Background(), "ada@example.org", "192.0.2.1")
	}
	link.Cut()
	limits.CountAttempt(context.Background(), "ada@example.org", "192.0.2.1")
	err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP pgo_login_attempts_total Attempts to sign in by result (allowed or refused) and by where they are counted (redis, or memory while Redis is unavailable).
# TYPE pgo_login_attempts_total counter
pgo_login_attempts_total{counted_in="memory",result="allowed"} 1
pgo_login_attempts_total{counted_in="memory",result="refused"} 0
pgo_login_attempts_total{counted_in="redis",result="allowed"} 2
pgo_login_attempts_total{counted_in="redis",result="refused"} 1
`))
	if err != nil {
		t.Error(err)
	}
}
