package mysql

import (
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"pgo/pkg/problem"
)

// WrapNotFound returns 404 not_found where GORM found no row, and else what Failed returns.
func WrapNotFound(err error, doing string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return problem.NotFound()
	}
	return Wrap(err, doing)
}

// Wrap says what was being done when err came, and returns it as Classify does; nil for nil.
func Wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return Classify(fmt.Errorf("%s: %w", doing, err))
}

// RequireOneRow is the error of a statement that must have found exactly one row. It goes back out of a transaction, where InTx
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

// likeSpecial escapes what LIKE gives a meaning.
var likeSpecial = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// LikePrefix returns the LIKE pattern of the texts that start with s, whatever s holds.
func LikePrefix(s string) string { return likeSpecial.Replace(s) + "%" }
