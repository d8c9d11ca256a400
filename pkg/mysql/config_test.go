package mysql_test

import (
	"testing"

	"pgo/pkg/mysql"
	"pgo/pkg/testing/configtest"
)

func TestConfig(t *testing.T) {
	configtest.AssertRejected(t, mysql.Defaults(),
		[]string{"username=u", "database=d", "password=a-test-password-of-ours"},
		[]string{"addr=", "username=", "database=", "max_open=0", "max_idle=0", "lock_wait=10ms", "password="})
}
