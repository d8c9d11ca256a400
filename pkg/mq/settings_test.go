package mq_test

import (
	"testing"

	"pgo/pkg/mq"
	"pgo/pkg/testing/configtest"
)

func TestSettings(t *testing.T) {
	configtest.AssertRejected(t, mq.Settings{Addr: "127.0.0.1:5672", Username: "user", Vhost: "pgo"},
		[]string{"password=a-test-password-of-ours"},
		[]string{"addr=", "username=", "vhost=", "password="})
}
