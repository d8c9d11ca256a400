package check

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgo/deploy/monitor/board"
	"pgo/deploy/monitor/inventory"
	"pgo/deploy/monitor/query"
)

func TestTheRepositoryIsInOrder(t *testing.T) {
	problems, err := All(os.DirFS("../../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

const (
	goodRule = `groups: [{name: g, rules: [{alert: A, expr: 'm{l="x"} > 0', labels: {severity: warning}, annotations: {
  summary: s, summary_zh: z, description: d, runbook_url: "{{ $externalLabels.runbooks }}/A.md", board_url: "{{ $externalLabels.grafana }}/d/pgo-service"}}]}]`
	goodTest = `tests: [{alert_rule_test: [{alertname: A, exp_alerts: []}, {alertname: A, exp_alerts: [{exp_labels: {}}]}]}]`
	goodBook = "# A\n\n## What it means\n\nSomething is the matter with the thing, and people notice.\n\n## What to look at\n\n- The thing's own page, and the log beside it.\n\n## What to do\n\n- Switch the thing off, and switch it on again.\n"
	goodList = "# Runbooks\n\n- [A](A.md): Something is the matter\n"
	goodInfo = `# What each alert is about, for Grafana: made by ` + "`make rules`" + ` of docs/runbooks/README.md and the alerts. Changes here are lost.
groups:
  - interval: 1m
    name: alert-info
    rules:
      - record: alert:info
        expr: vector(1)
        labels:
          about: Something is the matter
          alertname: A
          board: pgo-service
`
	recorded = `jobs: {j: {metrics: {m: {type: gauge, labels: [l]}}}}`
	goodPart = `services: {c: {command: [--enable_metrics=memory, --whitelisted_container_labels=a.b]}}`
	excepted = `[{program: p, reason: r, container: c, groups: {x: memory}, metrics: {x: [container_label_a_b], container_spec_y: []}}]`
)

func TestWhatIsReported(t *testing.T) {
	tests := []struct {
		name       string
		file       string
		old, fresh string
		want       string
	}{
		{"nothing", "", "", "", ""},
		{"an expression that does not parse", rulesDir + "/a.yml", "> 0", "> ", "parse PromQL"},
		{"a metric that is not exported", rulesDir + "/a.yml", "m{", "n{", "no n was recorded"},
		{"a label that the metric has not", rulesDir + "/a.yml", "{l=", "{k=", "m was recorded without the label k"},
		{"no severity", rulesDir + "/a.yml", "severity: warning", "level: warning", `severity "" is none of`},
		{"no Chinese text", rulesDir + "/a.yml", "summary_zh: z, ", "", "no summary_zh"},
		{"another alert's runbook", rulesDir + "/a.yml", "/A.md", "/B.md", "runbook_url is"},
		{"an alert that the list of runbooks does not have", runbooksDir + "/README.md", "[A](A.md)", "[B](B.md)", "has no line about A"},
		{"another text in the list of runbooks", runbooksDir + "/README.md", "is the matter", "is wrong", "is not what the alerts and the list of runbooks say"},
		{"no board", rulesDir + "/a.yml", ", board_url: \"{{ $externalLabels.grafana }}/d/pgo-service\"", "", "not the link of a board"},
		{"a board that is gone", rulesDir + "/a.yml", "/d/pgo-service", "/d/pgo-gone", "not the link of a board"},
		{"no runbook", runbooksDir + "/A.md", goodBook, "", "does not start with its alert's name"},
		{"a runbook that says nothing to do", runbooksDir + "/A.md", "- Switch the thing off, and switch it on again.", "-", `says nothing under "What to do"`},
		{"no test that fires", testsDir + "/a.yml", ", {alertname: A, exp_alerts: [{exp_labels: {}}]}", "", "no test sees it fire"},
		{"no test that stays quiet", testsDir + "/a.yml", "{alertname: A, exp_alerts: []}, ", "", "no test sees it stay quiet"},
		{"a test of an alert that is gone", testsDir + "/a.yml", "{alertname: A, exp_alerts: []}", "{alertname: A, exp_alerts: []}, {alertname: Gone, exp_alerts: []}", "tests Gone, which no rule has"},
		{"an exception that is none", exceptionsFile, excepted, "[{program: p, reason: r, metrics: {m: []}}]", "m was recorded and needs no exception"},
		{"an exception of a part that is gone", exceptionsFile, "container: c", "container: d", "has no part d"},
		{"a metric that the flags do not enable", exceptionsFile, "x: memory", "x: oom_event", "x is exported only with --enable_metrics=oom_event"},
		{"a metric of no group", exceptionsFile, "container_spec_y", "container_oom_events_total", "which group of p exports it?"},
		{"flags that no longer enable a metric", composeFile, "=memory", "=cpu", "x is exported only with --enable_metrics=memory"},
		{"a label that is not passed on", composeFile, "=a.b", "=a.c", "x has the label container_label_a_b only if"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			checkout := fstest.MapFS{}
			for file, text := range map[string]string{
				runbooksDir + "/README.md": goodList, AlertInfoFile: goodInfo, rulesDir + "/a.yml": goodRule, testsDir + "/a.yml": goodTest, runbooksDir + "/A.md": goodBook, recordedFile: recorded, exceptionsFile: excepted, composeFile: goodPart,
			} {
				if file == tc.file {
					text = strings.Replace(text, tc.old, tc.fresh, 1)
				}
				checkout[file] = &fstest.MapFile{Data: []byte(text)}
			}
			problems, err := All(checkout)
			if err != nil {
				t.Fatal(err)
			}
			// The boards of the repository are not those of this made-up checkout.
			problems = slices.DeleteFunc(problems, func(p string) bool { return strings.Contains(p, "board ") || strings.Contains(p, boardsDir) })
			switch {
			case tc.want == "" && len(problems) > 0:
				t.Errorf("%q", problems)
			case tc.want != "" && !strings.Contains(strings.Join(problems, "\n"), tc.want):
				t.Errorf("%q, want one with %q", problems, tc.want)
			}
		})
	}
}

func TestPanels(t *testing.T) {
	known := inventory.Known{}
	known.Add("m", "l")
	good := board.Panel{Title: "Things", About: "How many things there are.", Kind: board.Lines, Unit: "short", Queries: []board.Query{{Expr: `sum by (l) (rate(m[$__rate_interval]))`, Legend: "{{l}}"}}}
	tests := []struct {
		name   string
		change func(*board.Panel)
		want   string
	}{
		{"good", func(*board.Panel) {}, ""},
		{"no description", func(p *board.Panel) { p.About = "" }, "says too little"},
		{"a unit that Grafana does not know", func(p *board.Panel) { p.Unit = "furlongs" }, `unit "furlongs"`},
		{"empty", func(p *board.Panel) { p.Queries = nil }, "is empty"},
		{"no legend", func(p *board.Panel) { p.Queries[0].Legend = "" }, "a query without a legend"},
		{"a metric that is not exported", func(p *board.Panel) { p.Queries[0].Expr = "n" }, "no n was recorded"},
		{"LogQL that does not parse", func(p *board.Panel) { p.Queries[0] = board.Query{Expr: "{", Legend: "x", Loki: true} }, "parse LogQL"},
		{"a label that Loki does not index", func(p *board.Panel) {
			p.Queries[0] = board.Query{Expr: `{trace_id="x"}`, Legend: "x", Loki: true}
		}, "Loki does not index trace_id"},
		{"a table without columns", func(p *board.Panel) { p.Kind = board.Table }, "a table without columns"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p := good
			p.Queries = slices.Clone(good.Queries)
			tc.change(&p)
			got := strings.Join(panel("b", p, known), "\n")
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	if _, err := query.PromQL(query.Expand(good.Queries[0].Expr, board.AllValue)); err != nil {
		t.Error(err)
	}
}
