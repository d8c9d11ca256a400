package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"pgo/pkg/cache"
	"pgo/pkg/command"
	"pgo/pkg/mysql"
	"pgo/services/school/store"
)

// exportCommand writes what other services build their view from when they have lost it. It needs MySQL only.
func exportCommand(environ []string) *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "Write all schools, classes and members, as one moment knows them, as JSON lines to stdout", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			cfg, err := load(environ)
			if err != nil {
				return err
			}
			reg := prometheus.NewRegistry()
			cfg.MySQL.IOTimeout = max(cfg.MySQL.IOTimeout, exportTimeout) // who reads may be slow, and then so are we
			db, err := mysql.Open(cfg.MySQL, noop.NewTracerProvider(), reg)
			if err != nil {
				return err
			}
			pool, err := db.DB()
			if err != nil {
				return fmt.Errorf("take the pool: %w", err)
			}
			defer pool.Close()
			redis := cache.Open(cfg.Redis) // asked nothing: an export reads the tables
			defer redis.Close()
			out := bufio.NewWriter(cmd.OutOrStdout())
			schools := store.New(db, cache.New(redis, cfg.Redis, reg, zap.NewNop()), "school", func() {})
			if err := schools.Export(cmd.Context(), out); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write the export: %w", err)
			}
			return nil
		},
	}
}

const exportTimeout = 10 * time.Minute
