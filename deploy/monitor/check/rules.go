// Package check compares the monitoring's files with one another and with what the stack was seen to export.
package check

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	"pgo/deploy/monitor/board"
	"pgo/deploy/monitor/inventory"
	"pgo/deploy/monitor/query"
	"pgo/deploy/monitor/rules"
)

// The directories of a checkout, relative to its root.
const (
	rulesDir       = "deploy/prometheus/rules"
	testsDir       = "deploy/prometheus/tests"
	runbooksDir    = "docs/runbooks"
	recordedFile   = "deploy/monitor/recorded.yaml"
	exceptionsFile = "deploy/monitor/exceptions.yaml"
	composeFile    = "deploy/monitor/compose.yml"
)

// AlertInfoFile is the generated file of rules with what each alert is about.
const AlertInfoFile = rulesDir + "/info.yml"

// AlertInfo returns what AlertInfoFile should contain.
func AlertInfo(checkout fs.FS) ([]byte, error) {
	all, err := rules.Load(checkout, rulesDir)
	if err != nil {
		return nil, err
	}
	return rules.Info(all, checkout, runbooksDir+"/README.md")
}

// infoProblems returns what is wrong with AlertInfoFile.
func infoProblems(checkout fs.FS) []string {
	want, err := AlertInfo(checkout)
	if err != nil {
		return []string{err.Error()}
	}
	if got, err := fs.ReadFile(checkout, AlertInfoFile); err != nil || string(got) != string(want) {
		return []string{AlertInfoFile + " is not what the alerts and the list of runbooks say: make rules"}
	}
	return nil
}

// All runs every check on a checkout and returns the problems, one line each, sorted.
func All(checkout fs.FS) ([]string, error) {
	all, err := rules.Load(checkout, rulesDir)
	if err != nil {
		return nil, err
	}
	tested, err := rules.Coverage(checkout, testsDir)
	if err != nil {
		return nil, err
	}
	known, problems, err := known(checkout, all)
	if err != nil {
		return nil, err
	}
	problems = append(problems, alerts(checkout, all, tested)...)
	problems = append(problems, infoProblems(checkout)...)
	for _, r := range all {
		problems = append(problems, expression(fmt.Sprintf("%s: %s", r.File, r.Name()), r.Expr, known)...)
	}
	problems = append(problems, boards(checkout, board.All(), known)...)
	slices.Sort(problems)
	return slices.Compact(problems), nil
}

// known returns everything that an expression may use, and the problems of the exceptions.
func known(checkout fs.FS, all []rules.Rule) (inventory.Known, []string, error) {
	text, err := fs.ReadFile(checkout, recordedFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read the recorded metrics (make record-metrics makes them): %w", err)
	}
	recorded, err := inventory.Read(text)
	if err != nil {
		return nil, nil, err
	}
	k := recorded.Known()
	k.Add("alert:links", "runbooks") // the stack writes its rule, with this machine's links
	text, err = fs.ReadFile(checkout, exceptionsFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read the exceptions: %w", err)
	}
	exceptions, err := inventory.ReadExceptions(text)
	if err != nil {
		return nil, nil, err
	}
	problems, err := sources(checkout, exceptions)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range exceptions {
		for name, labels := range e.Metrics {
			if _, ok := k[name]; ok {
				problems = append(problems, fmt.Sprintf("%s: %s was recorded and needs no exception any more", exceptionsFile, name))
			}
			k.Add(name, labels...)
		}
	}
	for _, r := range all {
		if r.Record == "" {
			continue
		}
		k.Add(r.Record)
		for label := range r.Labels {
			k.Add(r.Record, label)
		}
		used, err := query.PromQL(r.Expr)
		if err != nil {
			continue // expression says it
		}
		for _, u := range used {
			k.Add(r.Record, u.Labels...)
		}
	}
	return k, problems, nil
}

// expression returns the problems of one PromQL expression.
func expression(where, expr string, known inventory.Known) []string {
	used, err := query.PromQL(query.Expand(expr, board.AllValue))
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", where, err)}
	}
	var problems []string
	for _, u := range used {
		labels, ok := known[u.Metric]
		if !ok {
			problems = append(problems, fmt.Sprintf("%s: no %s was recorded", where, u.Metric))
			continue
		}
		for _, l := range u.Labels {
			if !labels[l] {
				problems = append(problems, fmt.Sprintf("%s: %s was recorded without the label %s", where, u.Metric, l))
			}
		}
	}
	return problems
}

// boardProblems returns what is wrong with an alert's link to its board.
func boardProblems(r rules.Rule) []string {
	link := regexp.MustCompile(`^\{\{ \$externalLabels\.grafana \}\}/d/([a-z-]+)(\?var-service=.+)?$`).FindStringSubmatch(r.Annotations["board_url"])
	if link == nil || !slices.ContainsFunc(board.All(), func(b board.Board) bool { return b.UID == link[1] }) {
		return []string{fmt.Sprintf("board_url is %q, not the link of a board", r.Annotations["board_url"])}
	}
	return nil
}

// alerts checks that each alert can be acted on and is tested, and that no runbook and no test is left over.
func alerts(checkout fs.FS, all []rules.Rule, tested map[string]rules.Covered) []string {
	var problems []string
	there := map[string]bool{}
	for _, r := range all {
		if r.Alert == "" {
			continue
		}
		there[r.Alert] = true
		where := fmt.Sprintf("%s: %s", r.File, r.Alert)
		for _, p := range append(r.Problems(), boardProblems(r)...) {
			problems = append(problems, where+": "+p)
		}
		runbook := runbooksDir + "/" + r.Alert + ".md"
		text, err := fs.ReadFile(checkout, runbook)
		if err != nil {
			problems = append(problems, where+": has no runbook "+runbook)
		} else {
			for _, p := range rules.RunbookProblems(r.Alert, string(text)) {
				problems = append(problems, runbook+": "+p)
			}
		}
		if !tested[r.Alert].Fires {
			problems = append(problems, where+": no test sees it fire")
		}
		// The watchdog always fires.
		if !tested[r.Alert].Quiet && r.Labels["severity"] != "none" {
			problems = append(problems, where+": no test sees it stay quiet")
		}
	}
	for alert := range tested {
		if !there[alert] {
			problems = append(problems, fmt.Sprintf("%s: tests %s, which no rule has", testsDir, alert))
		}
	}
	books, err := fs.Glob(checkout, runbooksDir+"/*.md")
	if err != nil {
		return append(problems, err.Error())
	}
	for _, b := range books {
		name := b[len(runbooksDir)+1 : len(b)-len(".md")]
		if !there[name] && name != "README" {
			problems = append(problems, b+": no rule has this alert")
		}
	}
	return problems
}
