package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/ship"
)

func (a *app) releases() *cobra.Command {
	var asJSON bool
	var r remote
	c := &cobra.Command{
		Use:   "releases [NAME...]",
		Short: "show the releases of watched processes, the latest first; also when pgo does not run",
		RunE: func(c *cobra.Command, names []string) error {
			if len(r.to) > 0 {
				r.asJSON = asJSON
				return a.releasesOf(c.Context(), &r, names)
			}
			h, err := a.home()
			if err != nil {
				return err
			}
			store := release.Store{Dir: h.ReleaseDir()}
			known, err := store.ProcessNames()
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
	a.remoteFlags(c, &r)
	return c
}

// releasesOf shows those of other hosts, and what was deployed there last.
func (a *app) releasesOf(ctx context.Context, r *remote, names []string) error {
	return a.toEach(ctx, r, func(ctx context.Context, host string, o ship.Options) error {
		o.Report = func(ship.Event) {}
		all, deploys, err := ship.ListReleases(ctx, host, o)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(r release.Release) bool { return len(names) > 0 && !anyMatches(names, r.Name) })
		if r.asJSON {
			return a.printJSON(struct {
				Host     string            `json:"host"`
				Releases []release.Release `json:"releases"`
				Deploys  []audit.Entry     `json:"deploys"`
			}{host, all, deploys})
		}
		fmt.Fprintf(a.stdout, "%s\n", host)
		if err := a.printReleases(all); err != nil {
			return err
		}
		return a.printDeploys(deploys)
	})
}

// printDeploys shows who deployed what, the last first.
func (a *app) printDeploys(all []audit.Entry) error {
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nENDED\tWHAT\tBY\tRESULT\tTOOK\tCHANGES\tWHY")
	for _, e := range all {
		var changes []string
		for _, c := range e.Changes {
			changes = append(changes, fmt.Sprintf("%s %s → %s", c.Process, c.From, c.To))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f s\t%s\t%s\n", e.Ended.Local().Format(time.DateTime), e.Kind, e.User, e.Result, e.Seconds,
			strings.Join(changes, ", "), e.Reason)
	}
	return t.Flush()
}

func (a *app) printReleases(all []release.Release) error {
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tRELEASE\tVERSION\tADDED\tSIZE\tSTATE\tNOTE")
	for _, r := range all {
		state, note := "stored", r.Record.Failure
		switch {
		case r.Record.PassedAt != nil:
			state = "good"
		case r.Record.FailedAt != nil:
			state = "bad"
		case r.Current:
			state = "on probation"
		}
		if r.Current {
			state = "live, " + state
		}
		if r.Damaged != "" {
			state, note = "damaged", r.Damaged
		}
		version := r.Record.Version
		if version == "" {
			version = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f MB\t%s\t%s\n", r.Name, r.Record.Verification.SHA256[:12], version,
			r.Record.Added.Local().Format(time.DateTime), float64(r.Record.Verification.Size)/1e6, state, note)
	}
	return t.Flush()
}
