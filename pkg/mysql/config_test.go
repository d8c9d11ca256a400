package mysql_test

import (
	"testing"

	"pgo/pkg/testing/configtest"
	"pgo/pkg/mysql"
)

func TestConfig(t *testing.T) {
	configtest.Refused(t, mysql.Defaults(),
		[]string{"username=u", "database=d", "password=a-test-password-of-ours"},
		[]string{"addr=", "username=", "database=", "max_open=0", "max_idle=0", "lock_wait=10ms", "password="})
}
