package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/command"
	"pgo/services/task/store"
	"pgo/services/task/view"
)

// viewCommand maintains the service's view of School.
func viewCommand(environ []string) *cobra.Command {
	group := command.NewGroup("view", "Maintain the view of schools and classes")
	group.AddCommand(rebuildView(environ))
	return group
}

func rebuildView(environ []string) *cobra.Command {
	var dryRun bool
	c := &cobra.Command{
		Use: "rebuild [FILE]", Short: "Rebuild the view from the output of `school export`, and report the differences",
		Long: "Reads the output of `school export` from FILE, or from stdin if FILE is missing or -. The service may run meanwhile:\n" +
			"what it learned after the export is kept. Each difference is printed as a line. The last line counts them.",
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, closeIn, err := open(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			defer closeIn()
			return withStore(environ, func(s *store.Store) error { return rebuild(cmd.Context(), s, in, cmd.OutOrStdout(), dryRun) })
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "report the differences without repairing them")
	return c
}

func atMostOne(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return command.MarkUsage(fmt.Errorf("unexpected argument %q", args[1]))
	}
	return nil
}

func open(stdin io.Reader, args []string) (io.Reader, func(), error) {
	if len(args) == 0 || args[0] == "-" {
		return stdin, func() {}, nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, nil, fmt.Errorf("read the export: %w", err)
	}
	return f, func() { f.Close() }, nil
}

// rebuild reads the whole export before it changes anything, so that a truncated export changes nothing.
func rebuild(ctx context.Context, s *store.Store, in io.Reader, out io.Writer, dryRun bool) error {
	export, err := view.ReadExport(in)
	if err != nil {
		return fmt.Errorf("read the export: %w", err)
	}
	count := 0
	err = view.Rebuild(ctx, s, export, dryRun, func(d view.Difference) error {
		count++
		_, err := fmt.Fprintln(out, d)
		return err
	})
	if err != nil {
		return err
	}
	outcome := "repaired"
	if dryRun {
		outcome = "found, nothing was changed"
	}
	_, err = fmt.Fprintf(out, "%d differences %s\n", count, outcome)
	return err
}

// withStore calls fn with a store on the configured database. The fan-out of the running service finds new work by
// polling.
func withStore(environ []string, fn func(*store.Store) error) error {
	cfg, err := load(environ)
	if err != nil {
		return err
	}
	return command.WithDatabase(cfg.MySQL, cfg.Redis, func(db *gorm.DB, c *cache.Cache) error {
		return fn(store.New(db, c, "task", func() {}))
	})
}
