package gate

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"pgo/pkg/migrate"
	"pgo/pkg/mq"
)

// Exit codes, as in sysexits.h.
const (
	ExitUsage       = 64
	ExitData        = 65 // an invalid migration or topology: starting again does not help
	ExitUnavailable = 69 // a server or a binary is missing and may still appear
	ExitConfig      = 78
)

// Failure ends the gate. Code is the program's exit code.
type Failure struct {
	Code int
	Err  error
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

func newUnavailable(err error) error { return &Failure{ExitUnavailable, err} }

// classifyBinaryError returns a Failure for err. Invalid migration files need another binary; a missing or broken binary
// may be replaced at any moment.
func classifyBinaryError(err error) error {
	var syntax *migrate.SyntaxError
	if errors.As(err, &syntax) {
		return &Failure{ExitData, err}
	}
	return newUnavailable(err)
}

// classifyDeclareError returns a Failure for err. A queue that exists with other properties does not change by itself.
func classifyDeclareError(err error) error {
	var d *mq.DeclareError
	if errors.As(err, &d) && d.IsConflict() {
		return &Failure{ExitData, err}
	}
	return newUnavailable(err)
}

// transientErrors are numbers of MySQL's and MariaDB's errors that go away without a change of the migration: disk full (3 and
// 1026 while a file is written), out of memory, too many connections, the server stops, a commit that failed, lock wait timeout,
// deadlock, read-only, interrupted, the connection was killed, statement timeout (of MariaDB, of MySQL).
var transientErrors = []uint16{3, 1021, 1026, 1037, 1040, 1041, 1053, 1180, 1205, 1213, 1290, 1317, 1836, 1927, 1969, 3024}

// isDiskFull reports whether a server's general error is about a full disk, which has the system's error 28 in its text.
func isDiskFull(err *mysql.MySQLError) bool {
	return err.Number == 1030 && strings.Contains(err.Message, "28") || err.Number == 1114
}

const errNoSuchDatabase = 1049

func hasMySQLError(err error, numbers ...uint16) bool {
	var serverErr *mysql.MySQLError
	return errors.As(err, &serverErr) && slices.Contains(numbers, serverErr.Number)
}

// classifyMigrationError returns a Failure for err: with ExitData if a person has to act, else with ExitUnavailable.
func classifyMigrationError(err error) error {
	var serverErr *mysql.MySQLError
	switch {
	case errors.Is(err, context.Canceled), hasMySQLError(err, transientErrors...), errors.As(err, &serverErr) && isDiskFull(serverErr):
		return newUnavailable(err)
	case errors.As(err, &serverErr), errors.Is(err, migrate.ErrChanged), errors.Is(err, migrate.ErrMissing), errors.Is(err, migrate.ErrOutOfOrder),
		errors.Is(err, migrate.ErrUndecided), errors.Is(err, migrate.ErrUnverified), errors.Is(err, migrate.ErrUnsuitable), errors.Is(err, migrate.ErrForeign),
		errors.Is(err, migrate.ErrCodeTooOld), errors.Is(err, migrate.ErrSchemaTooOld), errors.Is(err, migrate.ErrNothingToResolve):
		return &Failure{ExitData, err}
	}
	return newUnavailable(err)
}
