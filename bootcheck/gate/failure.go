package gate

import (
	"context"
	"errors"
	"slices"

	"github.com/go-sql-driver/mysql"

	"pgo/pkg/migrate"
	"pgo/pkg/mq"
)

// Exit codes, as in sysexits.h.
const (
	ExitUsage       = 64
	ExitData        = 65 // a migration or a topology that cannot work: starting again does not help
	ExitUnavailable = 69 // something is missing that may still come
	ExitConfig      = 78
)

// Failure ends the chain. Code is what the program exits with.
type Failure struct {
	Code int
	Err  error
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

func unavailable(err error) error { return &Failure{ExitUnavailable, err} }

// binaryFailure: files that cannot be read as migrations stay so; a binary that is missing or broken may be
// replaced at any moment.
func binaryFailure(err error) error {
	var syntax *migrate.SyntaxError
	if errors.As(err, &syntax) {
		return &Failure{ExitData, err}
	}
	return unavailable(err)
}

// declareFailure: what exists with other properties stays so.
func declareFailure(err error) error {
	var d *mq.DeclareError
	if errors.As(err, &d) && d.IsConflict() {
		return &Failure{ExitData, err}
	}
	return unavailable(err)
}

// Errors of MySQL and MariaDB that pass by themselves: too many connections, the server stops, a lock was not had,
// a deadlock, interrupted, read-only for now, the connection was killed.
var passing = []uint16{1040, 1053, 1205, 1213, 1290, 1317, 1836, 1927}

const erNoDatabase = 1049

func serverSaid(err error, numbers ...uint16) bool {
	var said *mysql.MySQLError
	return errors.As(err, &said) && slices.Contains(numbers, said.Number)
}

// migrateFailure tells what a person has to look at from what the next try may find gone.
func migrateFailure(err error) error {
	var said *mysql.MySQLError
	switch {
	case errors.Is(err, context.Canceled), serverSaid(err, passing...):
		return unavailable(err)
	case errors.As(err, &said), errors.Is(err, migrate.ErrChanged), errors.Is(err, migrate.ErrMissing), errors.Is(err, migrate.ErrOutOfOrder),
		errors.Is(err, migrate.ErrUndecided), errors.Is(err, migrate.ErrCodeTooOld), errors.Is(err, migrate.ErrSchemaTooOld), errors.Is(err, migrate.ErrNothingToResolve):
		return &Failure{ExitData, err}
	}
	return unavailable(err)
}
