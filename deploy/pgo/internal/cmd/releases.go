package cmd

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/ship"
	"pgo/deploy/pgo/internal/terminal"
)

func newReleasesCommand(e *env) *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "releases [NAME...]",
		Short: "List the releases of watched processes, the latest first, also while pgo does not run",
		RunE: func(c *cobra.Command, names []string) error {
			if len(r.hosts) > 0 {
				return printRemoteReleases(c.Context(), e, &r, names)
			}
			h, err := e.findHome()
			if err != nil {
				return err
			}
			all, err := listReleases(release.Store{Dir: h.ReleaseDir()}, names)
			if err != nil {
				return err
			}
			if r.asJSON {
				return e.printJSON(all)
			}
			return printReleases(e.stdout, e.screen(), all)
		},
	}
	c.Flags().BoolVar(&r.asJSON, "json", false, "print a JSON array, with --to an object for each host")
	r.addFlags(c.Flags())
	return c
}

// listReleases returns the releases of the processes that names match; no names match all.
func listReleases(store release.Store, names []string) ([]release.Release, error) {
	processes, err := store.ProcessNames()
	if err != nil {
		return nil, err
	}
	all := []release.Release{}
	for _, process := range processes {
		if len(names) > 0 && !matchesAny(names, process) {
			continue
		}
		releases, err := store.List(process)
		if err != nil {
			return nil, err
		}
		all = append(all, releases...)
	}
	if len(all) == 0 && len(names) > 0 {
		return nil, fmt.Errorf("there are no releases of %s", names[0])
	}
	return all, nil
}

// printRemoteReleases prints the releases on other hosts, and the last deploys there.
func printRemoteReleases(ctx context.Context, e *env, r *remote, names []string) error {
	return r.runOnEachHost(ctx, e, func(ctx context.Context, host string, o ship.Options) error {
		o.Report = func(ship.Event) {}
		all, deploys, err := ship.ListReleases(ctx, host, o)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(r release.Release) bool { return len(names) > 0 && !matchesAny(names, r.Name) })
		if r.asJSON {
			return e.printJSON(struct {
				Host     string            `json:"host"`
				Releases []release.Release `json:"releases"`
				Deploys  []audit.Entry     `json:"deploys"`
			}{host, all, deploys})
		}
		fmt.Fprintf(e.stdout, "%s\n", host)
		if err := printReleases(e.stdout, e.screen(), all); err != nil {
			return err
		}
		fmt.Fprintln(e.stdout)
		return printDeploys(e.stdout, e.screen(), deploys)
	})
}

func printDeploys(w io.Writer, screen terminal.Screen, all []audit.Entry) error {
	t := terminal.NewTable("ENDED", "WHAT", "BY", "RESULT", "TOOK", "CHANGES", "WHY")
	t.Optional = []string{"TOOK", "BY"}
	for _, entry := range all {
		var changes []string
		for _, c := range entry.Changes {
			changes = append(changes, fmt.Sprintf("%s %s → %s", c.Process, c.From, c.To))
		}
		t.AddRow(entry.Ended.Local().Format(time.DateTime), fmt.Sprint(entry.Kind), entry.User, fmt.Sprint(entry.Result),
			fmt.Sprintf("%.1f s", entry.Seconds), strings.Join(changes, ", "), entry.Reason)
	}
	return t.Print(w, screen)
}

func printReleases(w io.Writer, screen terminal.Screen, all []release.Release) error {
	t := terminal.NewTable("NAME", "RELEASE", "VERSION", "ADDED", "SIZE", "STATE", "NOTE")
	t.Optional = []string{"SIZE", "VERSION", "ADDED"}
	for _, r := range all {
		state, note := describeRelease(r)
		t.AddRow(r.Name, r.Record.Verification.SHA256[:12], orDash(r.Record.Version), r.Record.Added.Local().Format(time.DateTime),
			terminal.FormatMegabytes(r.Record.Verification.Size), state, note)
	}
	return t.Print(w, screen)
}

// describeRelease returns the state and the note of a release in the table.
func describeRelease(r release.Release) (state, note string) {
	if r.Damaged != "" {
		return "damaged", r.Damaged
	}
	switch {
	case r.Record.PassedAt != nil:
		state = "good"
	case r.Record.FailedAt != nil:
		state = "bad"
	case r.Current:
		state = "on probation"
	default:
		state = "stored"
	}
	if r.Current {
		state = "current, " + state
	}
	return state, r.Record.Failure
}
