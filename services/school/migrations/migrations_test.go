package migrations_test

import (
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/services/school/migrations"
)

func TestOutboxAndInbox(t *testing.T) { servicetest.AssertOutboxAndInbox(t, migrations.FS) }
