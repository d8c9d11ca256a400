package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/release"
)

func (a *app) releases() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "releases [NAME...]",
		Short: "show the releases of watched processes, the latest first; also when pgo does not run",
		RunE: func(_ *cobra.Command, names []string) error {
			h, err := a.home()
			if err != nil {
				return err
			}
			store := release.Store{Dir: h.Releases()}
			known, err := store.Names()
			if err != nil {
				return err
			}
			all := []release.Release{}
			for _, name := range known {
				if len(names) > 0 && !anyMatches(names, name) {
					continue
				}
				of, err := store.List(name)
				if err != nil {
					return err
				}
				all = append(all, of...)
			}
			if len(all) == 0 && len(names) > 0 {
				return fmt.Errorf("there are no releases of %s", names[0])
			}
			if asJSON {
				return a.printJSON(all)
			}
			return a.printReleases(all)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as a JSON array")
	return c
}

func (a *app) printReleases(all []release.Release) error {
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tRELEASE\tVERSION\tADDED\tSIZE\tSTATE\tNOTE")
	for _, r := range all {
		state, note := "stored", r.Bad
		switch {
		case r.GoodAt != nil:
			state = "good"
		case r.BadAt != nil:
			state = "bad"
		case r.Live:
			state = "on probation"
		}
		if r.Live {
			state = "live, " + state
		}
		if r.Damaged != "" {
			state, note = "damaged", r.Damaged
		}
		version := r.Version
		if version == "" {
			version = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f MB\t%s\t%s\n", r.Name, r.SHA256[:12], version,
			r.Added.Local().Format(time.DateTime), float64(r.Size)/1e6, state, note)
	}
	return t.Flush()
}
