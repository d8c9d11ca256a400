package check

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"

	"pgo/deploy/monitor/board"
	"pgo/deploy/monitor/inventory"
	"pgo/deploy/monitor/query"
)

const boardsDir = "deploy/grafana/boards"

// streamLabels returns the labels that Loki indexes. Everything else of a line is structured metadata or parsed.
func streamLabels() []string { return []string{"service_name"} }

// unitNames are Grafana's units that the boards use. A unit that Grafana does not know shows as its name.
func unitNames() []string {
	return []string{"short", "s", "bytes", "Bps", "ops", "reqps", "percentunit", "suffix: lines/s"}
}

// Boards checks each board's panels and expressions, and that the files are those that the code makes.
func boards(checkout fs.FS, all []board.Board, known inventory.Known) []string {
	var problems []string
	files := map[string]bool{}
	uids := map[string]bool{}
	for _, b := range all {
		where := "board " + b.Title
		if uids[b.UID] {
			problems = append(problems, where+": another board has its uid")
		}
		uids[b.UID] = true
		file := boardsDir + "/" + b.Folder + "/" + b.UID + ".json"
		files[file] = true
		want, err := b.JSON()
		if err != nil {
			problems = append(problems, err.Error())
		}
		if got, err := fs.ReadFile(checkout, file); err != nil || string(got) != string(want) {
			problems = append(problems, file+" is not what the code says: make boards")
		}
		height := 0
		for _, r := range b.Rows {
			height += r.Height
			for _, p := range r.Panels {
				problems = append(problems, panel(where, p, known)...)
			}
		}
		if height > 30 {
			problems = append(problems, fmt.Sprintf("%s: %d units high; 30 fit a screen", where, height))
		}
		for _, v := range b.Variables {
			if v.LokiLabel != "" || len(v.Values) > 0 {
				if v.LokiLabel != "" && !slices.Contains(streamLabels(), v.LokiLabel) {
					problems = append(problems, fmt.Sprintf("%s: variable %s: Loki does not index %s", where, v.Name, v.LokiLabel))
				}
				continue
			}
			m := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Query)
			if m == nil {
				problems = append(problems, fmt.Sprintf("%s: variable %s is no label_values(metric, label)", where, v.Name))
				continue
			}
			problems = append(problems, expression(where+", variable "+v.Name, fmt.Sprintf("sum by (%s) (%s)", m[2], m[1]), known)...)
		}
	}
	left, err := fs.Glob(checkout, boardsDir+"/*/*")
	if err != nil {
		return append(problems, err.Error())
	}
	for _, file := range left {
		if !files[file] {
			problems = append(problems, path.Clean(file)+": no board makes it")
		}
	}
	return problems
}

// panel checks that a person can read it and that every expression can be answered.
func panel(where string, p board.Panel, known inventory.Known) []string {
	where += ", " + p.Title
	var problems []string
	if p.Title == "" || len(p.About) < 15 {
		problems = append(problems, where+": says too little about what it shows")
	}
	if !slices.Contains(unitNames(), p.Unit) {
		problems = append(problems, fmt.Sprintf("%s: unit %q is not among %v", where, p.Unit, unitNames()))
	}
	if len(p.Queries) == 0 {
		problems = append(problems, where+": is empty")
	}
	if p.Kind == board.Table && len(p.Columns) == 0 && (len(p.Queries) == 0 || p.Queries[0].TracesOf == "") {
		problems = append(problems, where+": a table without columns")
	}
	for _, q := range p.Queries {
		if q.Legend == "" && p.Kind != board.Logs {
			problems = append(problems, where+": a query without a legend")
		}
		if q.TracesOf != "" {
			continue
		}
		if !q.Loki {
			problems = append(problems, expression(where, q.Expr, known)...)
			continue
		}
		names, err := query.LogQL(query.Expand(q.Expr, board.AllValue))
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", where, err))
		}
		for _, name := range names {
			if !slices.Contains(streamLabels(), name) {
				problems = append(problems, fmt.Sprintf("%s: Loki does not index %s", where, name))
			}
		}
	}
	return problems
}
