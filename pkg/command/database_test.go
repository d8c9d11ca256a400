package command_test

import (
	"errors"
	"testing"

	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/command"
	"pgo/pkg/config"
	"pgo/pkg/mysql"
	"pgo/pkg/problem"
	"pgo/pkg/testing/testkit"
)

func TestWithDatabase(t *testing.T) {
	d, r := testkit.NewDatabase(t), testkit.NewRedis(t)
	cfg, rcfg := mysql.Defaults(), cache.Defaults()
	cfg.Addr, cfg.Username, cfg.Password, cfg.Database = d.Addr, d.User, config.Secret(d.Password), d.Name
	rcfg.Addr, rcfg.Username, rcfg.Password, rcfg.Prefix = r.Addr, r.Username, config.Secret(r.Password), r.Prefix
	var db *gorm.DB
	boom := errors.New("boom")
	err := command.WithDatabase(cfg, rcfg, func(open *gorm.DB, _ *cache.Cache) error {
		db = open
		if err := db.Exec("CREATE TABLE t (id INT PRIMARY KEY)").Error; err != nil {
			t.Error(err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if err := db.Exec("INSERT INTO t VALUES (1)").Error; err == nil {
		t.Error("the database is open afterwards")
	}
	cfg.Addr = "127.0.0.1:1"
	err = command.WithDatabase(cfg, rcfg, func(db *gorm.DB, _ *cache.Cache) error { return mysql.Classify(db.Exec("DO 1").Error) })
	if !errors.Is(err, problem.Unavailable()) {
		t.Errorf("without a server: %v", err)
	}
}
