package command

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/mysql"
)

// WithDatabase calls fn with a service's database and its cache, for a command that runs beside the service or without it, and
// closes both. It reaches neither server before fn does, and it measures, traces and logs nothing.
func WithDatabase(database mysql.Config, redis cache.Config, fn func(*gorm.DB, *cache.Cache) error) (err error) {
	reg := prometheus.NewRegistry()
	db, err := mysql.Open(database, noop.NewTracerProvider(), reg)
	if err != nil {
		return err
	}
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("take the pool: %w", err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	client := cache.Open(redis)
	defer func() { err = errors.Join(err, client.Close()) }()
	return fn(db, cache.New(client, redis, reg, zap.NewNop()))
}
