package migrate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Error is a migration that stopped. Nothing after the place it names was run.
type Error struct {
	Version   int64
	File      string
	Line      int    // of the statement, 0 when the error is about the whole file
	Statement int    // its number from 1, 0 when the error is about the whole file
	SQL       string // the statement, shortened to one line
	Cause     error  // the server's error, or why the migration was refused
}

func (e *Error) Error() string {
	if e.Statement == 0 {
		return fmt.Sprintf("migration %s: %v", e.File, e.Cause)
	}
	return fmt.Sprintf("migration %s:%d: statement %d (%s): %v", e.File, e.Line, e.Statement, e.SQL, e.Cause)
}

func (e *Error) Unwrap() error { return e.Cause }

// Causes of an *Error, for errors.Is. Every other cause is an error of the server or the connection.
var (
	ErrChanged    = errors.New("what was already applied has changed")
	ErrMissing    = errors.New("an applied migration has no file any more")
	ErrOutOfOrder = errors.New("older than what is already applied")
	ErrUndecided  = errors.New("it cannot be determined whether the statement was done")
	ErrUnverified = errors.New("its verify query is wrong, or the statement did not have its effect")
	ErrLockLost   = errors.New("the migration lock was lost")
)

// ErrLocked is returned when the lock was not free within Options.LockWait.
var ErrLocked = errors.New("another migration holds the lock")

func (m Migration) newError(cause error) *Error {
	return &Error{Version: m.Version, File: m.File, Cause: cause}
}

func (m Migration) newErrorAt(s Statement, cause error) *Error {
	return &Error{Version: m.Version, File: m.File, Line: s.Line, Statement: s.Number, SQL: shorten(s.SQL), Cause: cause}
}

const maxShown = 160

// shorten puts SQL on one line of bounded length.
func shorten(sql string) string {
	r := []rune(strings.Join(strings.Fields(sql), " "))
	if len(r) > maxShown {
		return string(r[:maxShown]) + "..."
	}
	return string(r)
}

// Numbers of server errors, the same on MySQL and MariaDB.
const (
	erNoSuchTable     = 1146
	erBadField        = 1054
	erNoSuchRoutine   = 1305
	erViewInvalid     = 1356
	erLockWaitTimeout = 1205
	erDeadlock        = 1213
)

func serverError(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	if len(numbers) == 0 {
		return true
	}
	for _, n := range numbers {
		if e.Number == n {
			return true
		}
	}
	return false
}
