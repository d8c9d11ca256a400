package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/command"
	"pgo/services/school/store"
)

// exportCommand writes the data from which other services rebuild their view. It needs MySQL only.
func exportCommand(environ []string) *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "Write all schools, classes and members, as one moment knows them, as JSON lines to stdout", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(environ)
			if err != nil {
				return err
			}
			cfg.MySQL.IOTimeout = max(cfg.MySQL.IOTimeout, exportTimeout) // a slow reader of the output slows down the query
			return command.WithDatabase(cfg.MySQL, cfg.Redis, func(db *gorm.DB, c *cache.Cache) error {
				out := bufio.NewWriter(cmd.OutOrStdout())
				if err := store.New(db, c, "school", func() {}).Export(cmd.Context(), out); err != nil { // reads the tables, not the cache
					return err
				}
				if err := out.Flush(); err != nil {
					return fmt.Errorf("write the export: %w", err)
				}
				return nil
			})
		},
	}
}

const exportTimeout = 10 * time.Minute
