package outbox_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"

	"pgo/pkg/event"
	"pgo/pkg/outbox"
)

// printingTx stands for the transaction of a change. It prints the statements that it executes.
type printingTx struct{}

func (printingTx) ExecContext(_ context.Context, query string, _ ...any) (sql.Result, error) {
	statement, _, _ := strings.Cut(query, " (")
	fmt.Println(statement)
	return driver.RowsAffected(1), nil
}

// The event is written in the transaction of its change, after the aggregate's row is locked. The relay publishes it.
func ExampleAppend() {
	ctx, tx := context.Background(), printingTx{}
	renamed, err := event.New(ctx, "school", "school.updated.v1", "school-7", 2, map[string]string{"name": "North"})
	if err != nil {
		panic(err)
	}
	if err := outbox.Append(ctx, tx, renamed); err != nil {
		panic(err)
	}
	// Output: INSERT INTO pgo_outbox
}
