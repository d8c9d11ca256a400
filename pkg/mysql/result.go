package mysql

import (
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"pgo/pkg/problem"
)

// WrapNotFound returns a not_found problem if GORM found no row, otherwise what Wrap returns.
func WrapNotFound(err error, doing string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return problem.NotFound()
	}
	return Wrap(err, doing)
}

// Wrap adds to err what was being done and returns it as Classify does. It returns nil for nil.
func Wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return Classify(fmt.Errorf("%s: %w", doing, err))
}

// RequireOneRow returns an error unless the statement found exactly one row. The error leaves a transaction, where InTx
// classifies it.
func RequireOneRow(res *gorm.DB, doing string) error {
	if res.Error != nil {
		return fmt.Errorf("%s: %w", doing, res.Error)
	}
	if res.RowsAffected != 1 {
		return fmt.Errorf("%s: %d rows instead of 1", doing, res.RowsAffected)
	}
	return nil
}

// likeSpecial escapes the characters with a meaning in LIKE.
var likeSpecial = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// LikePrefix returns the LIKE pattern of the texts that start with s, for any s.
func LikePrefix(s string) string { return likeSpecial.Replace(s) + "%" }
