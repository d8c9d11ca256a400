package inbox_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"pgo/pkg/inbox"
)

// countingTx stands for the transaction of an effect. Like MySQL it reports one affected row for a new record, two for a known
// one.
type countingTx map[any]bool

func (tx countingTx) ExecContext(_ context.Context, _ string, args ...any) (sql.Result, error) {
	id := args[1]
	if tx[id] {
		return driver.RowsAffected(2), nil
	}
	tx[id] = true
	return driver.RowsAffected(1), nil
}

// A handler records the event first in the transaction of its effect, and skips an event that it has handled before.
func ExampleRecordOnce() {
	tx := countingTx{}
	for range 2 {
		first, err := inbox.RecordOnce(context.Background(), tx, "task.events", "0198c2f0")
		if err != nil {
			panic(err)
		}
		fmt.Println("first time:", first)
	}
	// Output:
	// first time: true
	// first time: false
}
