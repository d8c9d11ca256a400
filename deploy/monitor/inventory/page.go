package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ours says which jobs' metrics the page explains one by one: those that this repository's code exports.
func ours() []string { return []string{"services", "bootcheck", "pgo", "wecom"} }

// Page is the metrics reference in Markdown: every metric of our own programs with its labels, and of the others how many.
func Page(i Inventory) string {
	var b strings.Builder
	b.WriteString("# Metrics\n\nMade from a scrape of the running stack by `make record-metrics`. The labels are those in\nPrometheus, which adds `job` and `instance` to all, and `service` to what comes from a service. Label values are bounded: routes are templates, methods and results a fixed set.\n")
	for _, job := range ours() {
		j, ok := i.Jobs[job]
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | what it is |\n| --- | --- | --- | --- |\n", job)
		runtime := 0
		for _, name := range slices.Sorted(maps.Keys(j.Metrics)) {
			if strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "go_sql_") || strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "promhttp_") {
				runtime++
				continue
			}
			m := j.Metrics[name]
			var labels []string
			for _, l := range m.Labels {
				labels = append(labels, fmt.Sprintf("`%s`", l))
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.Type, strings.Join(labels, " "), strings.ReplaceAll(m.Help, "|", "\\|"))
		}
		if runtime == 0 {
			continue
		}
		fmt.Fprintf(&b, "\nAnd %d of the Go runtime, the process and the scrape itself (`go_*`, `process_*`, `promhttp_*`).\n", runtime)
	}
	b.WriteString("\n## Other programs\n\n| job | metrics | most of them |\n| --- | --- | --- |\n")
	for _, job := range slices.Sorted(maps.Keys(i.Jobs)) {
		if slices.Contains(ours(), job) {
			continue
		}
		fmt.Fprintf(&b, "| %s | %d | `%s_*` |\n", job, len(i.Jobs[job].Metrics), commonest(i.Jobs[job]))
	}
	b.WriteString("\nAll of them with their labels are in [deploy/monitor/recorded.yaml](../deploy/monitor/recorded.yaml); what rules and boards use but cannot be\nrecorded here is in [deploy/monitor/exceptions.yaml](../deploy/monitor/exceptions.yaml), with the reason.\n")
	return b.String()
}

// commonest is the first word of most metrics' names.
func commonest(j Job) string {
	counts := map[string]int{}
	best := ""
	for _, name := range slices.Sorted(maps.Keys(j.Metrics)) {
		word, _, _ := strings.Cut(name, "_")
		counts[word]++
		if counts[word] > counts[best] {
			best = word
		}
	}
	return best
}
