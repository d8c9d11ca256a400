package migrations_test

import (
	"strings"
	"testing"

	"pgo/pkg/inbox"
	"pgo/pkg/migrate"
	"pgo/pkg/outbox"
	"pgo/services/school/migrations"
)

// TestOutboxAndInboxAreAsTheirPackagesWantThem keeps the copies in the migrations from drifting.
func TestOutboxAndInboxAreAsTheirPackagesWantThem(t *testing.T) {
	ms, err := migrate.Read(migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	for name, schema := range map[string]string{"outbox": outbox.Schema, "inbox": inbox.Schema} {
		found := false
		for _, m := range ms {
			for _, s := range m.Statements {
				found = found || strings.TrimRight(strings.TrimSpace(s.SQL), ";") == schema
			}
		}
		if !found {
			t.Errorf("no migration has the %s's table as its package says it", name)
		}
	}
}
