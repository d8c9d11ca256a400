package migrations_test

import (
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/services/task/migrations"
)

func TestOutboxAndInbox(t *testing.T) { servicetest.AssertOutboxAndInbox(t, migrations.FS) }
