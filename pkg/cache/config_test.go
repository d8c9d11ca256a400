package cache_test

import (
	"testing"

	"pgo/pkg/cache"
	"pgo/pkg/testing/configtest"
)

func TestConfig(t *testing.T) {
	configtest.AssertRejected(t, cache.Defaults(),
		[]string{"prefix=user:", "password=a-test-password-of-ours"},
		[]string{"addr=", "prefix=", "timeout=0s", "ttl=10ms", "password="})
}
