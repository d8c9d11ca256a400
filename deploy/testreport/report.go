package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is a line of go test -json.
type event struct {
	Action  string  `json:"Action"`
	Package string  `json:"Package"`
	Test    string  `json:"Test"`
	Output  string  `json:"Output"`
	Elapsed float64 `json:"Elapsed"` // seconds
}

// duration is a line of the file of durations.
type duration struct {
	Package string  `json:"package"`
	Test    string  `json:"test"`
	Seconds float64 `json:"seconds"`
}

// packageReport holds the output of a package until all its tests have run.
type packageReport struct {
	lines  []event
	passed map[string]bool // tests that passed or were skipped
}

// copyReport reads events, prints to stdout what go test prints without -v, and writes durations of top-level tests to record.
func copyReport(events io.Reader, stdout, record io.Writer) error {
	packages := map[string]*packageReport{}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			return nil
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("read go test's output: %w", err)
		}
		var e event
		if json.Unmarshal([]byte(line), &e) != nil {
			fmt.Fprint(stdout, line) // go test prints some errors as plain text
			continue
		}
		if e.Action == "build-output" {
			fmt.Fprint(stdout, e.Output)
			continue
		}
		p := packages[e.Package]
		if p == nil {
			p = &packageReport{passed: map[string]bool{}}
			packages[e.Package] = p
		}
		switch e.Action {
		case "output":
			p.lines = append(p.lines, e)
		case "pass", "skip", "fail":
			if e.Test != "" {
				p.passed[e.Test] = e.Action != "fail"
				if !strings.Contains(e.Test, "/") {
					if err := json.NewEncoder(record).Encode(duration{e.Package, e.Test, e.Elapsed}); err != nil {
						return err
					}
				}
				continue
			}
			p.print(stdout)
			delete(packages, e.Package)
		}
	}
}

// print prints the package's own lines and the lines of tests that failed or did not end.
func (p *packageReport) print(stdout io.Writer) {
	for _, line := range p.lines {
		isProgress := strings.HasPrefix(line.Output, "=== ")
		if (line.Test == "" && line.Output != "PASS\n") || (line.Test != "" && !p.passed[line.Test] && !isProgress) {
			fmt.Fprint(stdout, line.Output)
		}
	}
}

// printSlowest prints the n slowest tests in the file times.
func printSlowest(stdout io.Writer, times string, n int) error {
	f, err := os.Open(times)
	if err != nil {
		return err
	}
	defer f.Close()
	var all []duration
	for decoder := json.NewDecoder(f); ; {
		var d duration
		if err := decoder.Decode(&d); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("read %s: %w", times, err)
		}
		all = append(all, d)
	}
	slices.SortStableFunc(all, func(a, b duration) int { return cmp.Compare(b.Seconds, a.Seconds) })
	all = all[:min(n, len(all))]
	fmt.Fprintf(stdout, "the %d slowest tests:\n", len(all))
	for _, d := range all {
		fmt.Fprintf(stdout, "%8.1f s  %s %s\n", d.Seconds, d.Package, d.Test)
	}
	return nil
}
