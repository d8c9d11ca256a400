package httpx_test

import (
	"testing"

	"pgo/pkg/httpx"
	"pgo/pkg/testing/configtest"
)

func TestConfigRejectsInvalidValues(t *testing.T) {
	configtest.AssertRejected(t, httpx.Defaults(),
		[]string{"trusted_proxies=127.0.0.1,10.0.0.0/8,::1"},
		[]string{"request_timeout=0s", "max_body=0", "trusted_proxies=gateway", "trusted_proxies=127.0.0.1,10.0.0.0/33"})
}
