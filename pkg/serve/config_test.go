package serve_test

import (
	"testing"

	"pgo/pkg/serve"
	"pgo/pkg/testing/configtest"
)

func TestConfigRejectsInvalidValues(t *testing.T) {
	configtest.AssertRejected(t, serve.Defaults(),
		[]string{"addr=127.0.0.1:8081", "trusted_proxies=127.0.0.1,10.0.0.0/8,::1"},
		[]string{"addr=", "admin_addr=", "request_timeout=0s", "drain_timeout=-1s", "max_body=0", "trusted_proxies=gateway", "trusted_proxies=127.0.0.1,10.0.0.0/33"})
}
