package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ours returns the jobs whose metrics the pages explain one by one: those of this repository's programs.
func ours() []string { return []string{"services", "bootcheck", "pgo", "wecom"} }

// Pages returns the pages of the metrics reference in Markdown by their paths in the checkout: every metric of our own programs with
// its labels, and the number of metrics of the others.
func Pages(i Inventory) map[string]string {
	return map[string]string{
		"docs/metrics.md": "# Metrics: services and bootcheck\n\n" + origin +
			"\nThe metrics of pgo and of the WeCom bridge are in [metrics-pgo.md](metrics-pgo.md).\n" +
			jobTable(i, "services") + jobTable(i, "bootcheck") + otherPrograms(i),
		"docs/metrics-pgo.md": "# Metrics: pgo and the WeCom bridge\n\n" + origin +
			"\n[pgo-http.md](pgo-http.md#metrics) explains pgo's metrics.\n" + jobTable(i, "pgo") + jobTable(i, "wecom"),
	}
}

// origin stands at the beginning of each page.
const origin = "Generated from a scrape of the running stack by `make record-metrics`. The labels are those in Prometheus, which adds `job` and `instance`\n" +
	"to all metrics, and `service` to those of a service. Label values are bounded: routes are templates, methods and results a fixed set.\n"

// jobTable returns a section with every metric of a job of our own, or "" where none was recorded.
func jobTable(i Inventory, job string) string {
	j, ok := i.Jobs[job]
	if !ok {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n", job)
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
	if runtime > 0 {
		fmt.Fprintf(&b, "\nAnd %d of the Go runtime, the process and the scrape itself (`go_*`, `process_*`, `promhttp_*`).\n", runtime)
	}
	return b.String()
}

// otherPrograms returns the section with the number of metrics of each program that is not ours.
func otherPrograms(i Inventory) string {
	var b strings.Builder
	b.WriteString("\n## Other programs\n\n| job | metrics | most of them |\n| --- | --- | --- |\n")
	for _, job := range slices.Sorted(maps.Keys(i.Jobs)) {
		if !slices.Contains(ours(), job) {
			fmt.Fprintf(&b, "| %s | %d | `%s_*` |\n", job, len(i.Jobs[job].Metrics), commonest(i.Jobs[job]))
		}
	}
	b.WriteString("\nAll of them with their labels are in [deploy/monitor/recorded.yaml](../deploy/monitor/recorded.yaml). Metrics that rules and boards use but that\n" +
		"cannot be recorded here are in [deploy/monitor/exceptions.yaml](../deploy/monitor/exceptions.yaml), with the reason.\n")
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
