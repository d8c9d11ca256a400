package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"pgo/pkg/problem"
)

const (
	maxTxTries = 5
	txBackoff  = 10 * time.Millisecond // doubled for each try, half of it random
)

// Server errors with their own handling. https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
const (
	errLockWaitTimeout = 1205
	errDeadlock        = 1213
)

// unavailableErrors are the errors of a server that is full, stopping or read-only, that does not have the account or the
// database yet, or that ended the statement or the connection. 1927 and 1969 are MariaDB's.
var unavailableErrors = []uint16{1040, 1044, 1045, 1049, 1053, 1129, 1130, 1203, 1226, 1290, 1317, 1836, 1927, 1969, 3024, 4031}

// InTx runs fn in a transaction and commits it. After a deadlock, a lock wait timeout, or a connection that turns out to be
// dead before the transaction begins, it rolls back and runs fn again, 5 times at most with a growing wait; so fn must have
// no effect outside the transaction before it returns. Errors are as Classify returns them.
func InTx(ctx context.Context, db *gorm.DB, fn func(tx *gorm.DB) error) error {
	return inTx(ctx, db, nil, fn)
}

// InTxReadCommitted is InTx at READ COMMITTED: each statement sees what is committed when it runs, and locks only rows, not
// the gaps between them. Two transactions that look under a lock for a missing row and then insert different ones do not
// wait for each other.
func InTxReadCommitted(ctx context.Context, db *gorm.DB, fn func(tx *gorm.DB) error) error {
	return inTx(ctx, db, &sql.TxOptions{Isolation: sql.LevelReadCommitted}, fn)
}

func inTx(ctx context.Context, db *gorm.DB, opts *sql.TxOptions, fn func(tx *gorm.DB) error) error {
	for try := 1; ; try++ {
		begun := false
		err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			begun = true
			return fn(tx)
		}, opts)
		again := isRetryable(err) || !begun && errors.Is(err, mysqldriver.ErrInvalidConn)
		if err == nil || !again || try == maxTxTries {
			return Classify(err)
		}
		wait := txBackoff << (try - 1)
		select {
		case <-ctx.Done():
			return Classify(fmt.Errorf("retry transaction: %w", errors.Join(ctx.Err(), err)))
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
	}
}

// Classify wraps the errors of a server that cannot be reached or is overloaded in an unavailable problem, and returns
// others as they are.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if _, known := errors.AsType[*problem.Error](err); known {
		return err
	}
	if isUnavailable(err) {
		return problem.Unavailable().WithCause(err)
	}
	return err
}

func isRetryable(err error) bool {
	e, ok := errors.AsType[*mysqldriver.MySQLError](err)
	return ok && (e.Number == errDeadlock || e.Number == errLockWaitTimeout)
}

func isUnavailable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false // the caller has gone, and its end caused the error
	}
	if e, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		return isRetryable(err) || slices.Contains(unavailableErrors, e.Number)
	}
	_, isNet := errors.AsType[net.Error](err)
	return isNet || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, mysqldriver.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
