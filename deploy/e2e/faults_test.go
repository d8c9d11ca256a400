//go:build faults

package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	faultsOnly   = flag.String("faults.only", "", "a pattern; only the faults whose names match it are injected")
	faultsRate   = flag.Int("faults.rate", 200, "requests a second")
	faultsCalm   = flag.Duration("faults.calm", 5*time.Second, "how long the load runs before a fault, and without a failure before the stack counts as recovered")
	faultsFreeze = flag.Duration("faults.freeze", 30*time.Second, "how long RabbitMQ is frozen")
	faultsClock  = flag.Duration("faults.clock", 20*time.Second, "how long the clock of a service is ahead")
	faultsLimit  = flag.Duration("faults.limit", 2*time.Minute, "after which a stack that has not recovered fails the test")
)

// fault is one thing that breaks while requests are made.
type fault struct {
	name string
	// prepare does what takes time and no requests, if it is not nil.
	prepare func(*testing.T, *faultRun)
	// inject breaks it, and returns once nothing is broken from outside any more.
	inject func(*testing.T, *faultRun)
	// statuses lists the answers that are right during the fault, beside 502, 503 and 504.
	statuses []int
}

// listFaults returns the faults in the order in which they are injected.
func listFaults() []fault {
	var all []fault
	for _, part := range []string{"user", "school", "task", "rabbitmq", "redis", "mysql"} {
		all = append(all, fault{name: "kill -9 of " + part, inject: func(t *testing.T, r *faultRun) { r.kill(t, part) }})
	}
	all = append(all,
		fault{name: "rabbitmq frozen", inject: freezeRabbitMQ},
		fault{name: "redis emptied", inject: emptyRedis},
		fault{name: "connections cut in transactions", inject: cutTransactions},
	)
	for _, service := range services() {
		// A token that was issued more than the leeway ahead is refused, and one expires early for a clock that is ahead.
		all = append(all, fault{
			name: "clock of " + service + " 5 min ahead", statuses: []int{401},
			prepare: func(t *testing.T, r *faultRun) { r.ahead = buildAhead(t, service) },
			inject:  func(t *testing.T, r *faultRun) { r.advanceClock(t, service) },
		})
	}
	return all
}

// TestFaults makes requests at a constant rate and injects one fault after the other. Whatever a service acknowledged must be
// there afterwards, and must have happened once. It prints a table, and fails for each loss, for each effect that
// happened twice, and for each answer that an unavailable part does not explain.
func TestFaults(t *testing.T) {
	only, err := regexp.Compile(*faultsOnly)
	if err != nil {
		t.Fatal(err)
	}
	s := prepareStack(t, "native")
	s.root = copyCheckout(t, s.root)
	s.up()
	db := openDatabases(t, s)
	cast := newFaultCast(t, s)
	var reports []faultReport
	for n, f := range listFaults() {
		if !only.MatchString(f.name) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			s.t = t
			r := &faultRun{s: s, cast: cast, db: db, fault: f, prefix: fmt.Sprintf("%s-%02d-", cast.id, n), ledger: newLedger()}
			reports = append(reports, r.run(t))
		})
		s.t = t
	}
	assertConsistent(t, s)
	t.Log("\n" + formatReports(reports))
}

// faultReport holds the figures of one fault.
type faultReport struct {
	fault                        string
	requests, skipped            int
	acknowledged, lost, repeated int
	recovery                     time.Duration
	hasRecovered                 bool
	statuses                     map[string]int // by status, or why there was no answer
}

func formatReports(reports []faultReport) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "fault\trequests\tacknowledged writes\tlost\tdoubled\trecovery\tanswers by status")
	for _, r := range reports {
		recovery := fmt.Sprintf("%.1f s", r.recovery.Seconds())
		if !r.hasRecovered {
			recovery = "none"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", r.fault, r.requests, r.acknowledged, r.lost, r.repeated, recovery, formatStatuses(r.statuses))
	}
	w.Flush()
	return text.String()
}

func formatStatuses(statuses map[string]int) string {
	var parts []string
	for status, n := range statuses {
		parts = append(parts, fmt.Sprintf("%s: %d", status, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// copyCheckout returns a checkout with programs of its own, to which a test deploys by replacing a file.
func copyCheckout(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.work", "deploy"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "configs"), os.DirFS(filepath.Join(root, "configs"))); err != nil { // which services watch
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	programs, err := os.ReadDir(filepath.Join(root, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if p.Type().IsRegular() {
			replaceProgram(t, filepath.Join(root, "bin", p.Name()), filepath.Join(dir, "bin", p.Name()))
		}
	}
	return dir
}

// replaceProgram puts a copy of the file from in the place of to at once.
func replaceProgram(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".new", content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}
