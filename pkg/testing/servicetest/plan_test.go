package servicetest_test

import (
	"testing"
	"testing/fstest"

	"pgo/pkg/testing/servicetest"
)

func TestInefficientSteps(t *testing.T) {
	d := servicetest.NewDatabase(t, fstest.MapFS{"00001_things.sql": {Data: []byte(
		"-- min_code_schema: 1\n-- +goose Up\nCREATE TABLE things (id INT PRIMARY KEY, kind INT NOT NULL, name VARCHAR(20) NOT NULL, KEY kinds (kind, id));\n")}})
	for _, s := range []string{"INSERT INTO things SELECT n, n DIV 100, CONCAT('N', n) FROM " + servicetest.Numbers, "ANALYZE TABLE things"} {
		if _, err := d.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	db, _ := d.Connect(t, "")
	sent := servicetest.RecordQueries(t, db)
	var ids []int
	if err := db.Table("things").Where("kind = ? AND id > ?", 7, 710).Order("id").Limit(3).Pluck("id", &ids).Error; err != nil || len(*sent) != 1 || len(ids) != 3 {
		t.Fatalf("%v, %v, %v", ids, *sent, err)
	}
	if bad := servicetest.InefficientSteps(t, d.DB, (*sent)[0]); len(bad) > 0 {
		t.Errorf("a good plan is complained of: %v", bad)
	}
	servicetest.AssertRowsRead(t, d.DB, (*sent)[0], 4)
	for _, query := range []string{
		"SELECT * FROM things", "SELECT id FROM things WHERE name > 'N5'", "SELECT id FROM things WHERE kind = 7 ORDER BY name LIMIT 3", "SELECT COUNT(*) FROM things GROUP BY name",
	} {
		if len(servicetest.InefficientSteps(t, d.DB, query)) == 0 {
			t.Errorf("nothing is bad in %s", query)
		}
	}
	if n := servicetest.CountRowsRead(t, d.DB, "SELECT id FROM things WHERE kind = 7"); n < 100 || n > 102 {
		t.Errorf("for 100 rows the server reads %d", n)
	}
}
