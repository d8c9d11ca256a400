package mysql_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"gorm.io/gorm"

	"pgo/pkg/mysql"
	"pgo/pkg/problem"
)

func TestWrapErrorsOfStatements(t *testing.T) {
	boom := errors.New("boom")
	for _, tc := range []struct {
		name string
		err  error
		is   func(error) bool
	}{
		{"found", mysql.WrapNotFound(nil, "read note"), func(err error) bool { return err == nil }},
		{"no row", mysql.WrapNotFound(gorm.ErrRecordNotFound, "read note"), func(err error) bool { return errors.Is(err, problem.NotFound()) }},
		{"no server", mysql.WrapNotFound(io.EOF, "read note"), unavailable},
		{"another error", mysql.WrapNotFound(boom, "read note"), func(err error) bool { return err.Error() == "read note: boom" && errors.Is(err, boom) }},
		{"not failed", mysql.Wrap(nil, "list notes"), func(err error) bool { return err == nil }},
		{"no row where one is not looked for", mysql.Wrap(gorm.ErrRecordNotFound, "list notes"), func(err error) bool { return !errors.Is(err, problem.NotFound()) }},
		{"one row", mysql.RequireOneRow(&gorm.DB{RowsAffected: 1}, "save note"), func(err error) bool { return err == nil }},
		{"none", mysql.RequireOneRow(&gorm.DB{}, "save note"), func(err error) bool { return err.Error() == "save note: 0 rows instead of 1" }},
		{"two", mysql.RequireOneRow(&gorm.DB{RowsAffected: 2}, "save note"), func(err error) bool { return err.Error() == "save note: 2 rows instead of 1" }},
		{"a failed statement", mysql.RequireOneRow(&gorm.DB{Error: boom, RowsAffected: 1}, "save note"), func(err error) bool { return errors.Is(err, boom) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !tc.is(tc.err) {
				t.Errorf("got %v", tc.err)
			}
		})
	}
}

func TestLikePrefixMatchesLiterally(t *testing.T) {
	db, _ := withNotes(t)
	texts := []string{"abc", "a_c", "a%c", `a\c`, "A_C", "xa_c"}
	for i, s := range texts {
		if err := db.Exec("INSERT INTO notes (id, body) VALUES (?, ?)", i+10, s).Error; err != nil {
			t.Fatal(err)
		}
	}
	for prefix, want := range map[string]string{"a_": "a_c A_C", "a%": "a%c", `a\`: `a\c`, "a": `a abc a_c a%c a\c A_C`, "z": ""} {
		var found []string
		if err := db.Model(&note{}).Where("body LIKE ?", mysql.LikePrefix(prefix)).Order("id").Pluck("body", &found).Error; err != nil || strings.Join(found, " ") != want {
			t.Errorf("%q finds %q, %v; want %q", prefix, found, err, want)
		}
	}
}
