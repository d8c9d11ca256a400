package board

// lineFormat is a log line on one row: level, service, message, route, status and duration of a line of ours, else the line.
const lineFormat = "| json | line_format `{{if .msg}}{{printf \"%-5s\" .level}} {{.service_name}} {{.msg}}{{with .method}} {{.}}{{end}}{{with .route}} {{.}}{{end}}{{with .path}} {{.}}{{end}}{{with .status}} {{.}}{{end}}" +
	"{{with .duration}} {{.}}s{{end}}{{with .duration_s}} {{.}}s{{end}}{{with .error}}: {{.}}{{end}}{{else}}{{.service_name}} {{__line__}}{{end}}`"

func logs() Board {
	loki := func(expr, legend string) Query { return Query{Expr: expr, Legend: legend, Loki: true} }
	const lines, streams = "suffix: lines/s", `{service_name=~"$service"}`
	return Board{
		UID: "pgo-logs", Title: "Logs and traces", Folder: "Services", About: "What services log, and their latest traces. A line's trace_id leads to its trace, a trace back to its lines.",
		Variables: []Variable{
			{Name: "service", Label: "Service", LokiLabel: "service_name"},
			{Name: "traced", Label: "Traces of", Values: tracedServices()},
		},
		Rows: []Row{
			{Height: 6, Panels: []Panel{
				{Title: "Lines", About: "Lines a second by service.", Kind: Lines, Unit: lines, Queries: []Query{loki(`sum by (service_name) (rate(`+streams+` [$__auto]))`, "{{service_name}}")}},
				{Title: "Errors", About: "Lines of level error a second by service.", Kind: Lines, Unit: lines, Thresholds: limits(0.1, 1),
					Queries: []Query{loki(`sum by (service_name) (rate(`+streams+` | json | level="error" [$__auto]))`, "{{service_name}}")}},
				{Title: "Bytes", About: "What is written to the logs. A jump is a loop that logs.", Kind: Lines, Unit: "Bps", Queries: []Query{loki(`sum by (service_name) (bytes_rate(`+streams+` [$__auto]))`, "{{service_name}}")}},
			}},
			{Height: 7, Panels: []Panel{
				{Title: "Errors and warnings", About: "Newest first. Click a line for its fields; trace_id is a link.", Kind: Logs, Unit: "short", Width: 15,
					Queries: []Query{loki(streams+` | json | level=~"error|warn" `+lineFormat, "")}},
				{Title: "Latest traces", About: "The latest traces of the service chosen above. The id of each leads to it.", Kind: Table, Unit: "short",
					Queries: []Query{{TracesOf: "$traced", Legend: "traces"}}},
			}},
			{Height: 12, Panels: []Panel{{Title: "All lines", About: "Everything, requests included. Narrow it with the service above.", Kind: Logs, Unit: "short",
				Queries: []Query{loki(streams+` `+lineFormat, "")}}}},
		},
	}
}

// tracedServices returns the services that make spans.
func tracedServices() []string { return []string{"user", "school", "task"} }

func boot() Board {
	return Board{
		UID: "pgo-boot", Title: "Boot and deploys", Folder: "Services", About: "The gate: what it waits for, schemas, and what was deployed.",
		Rows: []Row{
			{Height: 6, Panels: []Panel{
				{Title: "Gate", About: "Open once bootcheck has passed: services may start.", Kind: Number, Unit: "short", Width: 4, Thresholds: below(1, 1), Names: yesNo("open", "closed"), Queries: []Query{q(`max(pgo_bootcheck_ready)`, "ready")}},
				{Title: "Phases of the last boot", About: "How long each phase took, or takes so far.", Kind: Table, Unit: "short", Width: 8, Columns: []string{"phase", "took"},
					Queries: []Query{q(`max by (phase) (pgo_bootcheck_phase_duration_seconds)`, "took")}},
				{Title: "Servers", About: "What bootcheck sees every five seconds.", Kind: States, Unit: "short", Thresholds: below(1, 1), Names: yesNo("up", "down"), Queries: []Query{q(`pgo_bootcheck_server_up`, "{{server}}")}},
			}},
			{Height: 7, Panels: []Panel{
				{Title: "Schemas", About: "Applied, what the binary brings, the oldest code that supports it, and whether a migration is half applied.", Kind: Table, Unit: "short",
					Columns: []string{"schema", "version", "expected", "oldest code", "half applied"},
					Queries: []Query{
						q(`max by (schema) (pgo_bootcheck_schema_version)`, "version"), q(`max by (schema) (pgo_bootcheck_schema_expected)`, "expected"),
						q(`max by (schema) (pgo_bootcheck_schema_min_code)`, "oldest code"), q(`max by (schema) (pgo_bootcheck_schema_dirty)`, "half applied"),
					}},
				{Title: "Versions over time", About: "Which version of each service ran when, and in how many instances.", Kind: States, Unit: "short", Queries: []Query{q(`count by (service, version) (pgo_build_info)`, "{{service}} {{version}}")}},
			}},
			{Height: 7, Panels: []Panel{
				{Title: "Deploys and reloads", About: "In the last hour, by what became of them.", Kind: Lines, Unit: "short", Queries: []Query{q(`sum by (service, result) (increase(pgo_reload_total[1h]))`, "{{service}} {{result}}")}},
				{Title: "How long a reload takes", About: "Nine of ten are done after this.", Kind: Lines, Unit: "s", Thresholds: limits(5, 30),
					Queries: []Query{q(`histogram_quantile(0.9, sum by (service, le) (rate(pgo_reload_duration_seconds_bucket[1h])))`, "{{service}}")}},
				{Title: "Restarts", About: "Of each process in the last hour, by itself.", Kind: Lines, Unit: "short", Thresholds: limits(1, 3), Queries: []Query{q(`sum by (service) (pgo_process_restarts_total - min_over_time(pgo_process_restarts_total[1h]))`, "{{service}}")}},
			}},
			{Height: 8, Panels: []Panel{processTable()}},
		},
	}
}

func itself() Board {
	return Board{
		UID: "pgo-monitoring", Title: "Monitoring itself", Folder: "Machines", About: "Is what watches well, and do alerts arrive?",
		Rows: []Row{
			{Height: 9, Panels: []Panel{
				{Title: "Targets", About: "Whether each answers Prometheus; those that do not come first.", Kind: Table, Unit: "short", Width: 9, Sorted: "up", Names: yesNo("up", "down"),
					Columns: []string{"up", "job", "service", "instance"}, Queries: []Query{q(`max by (job, service, instance) (up)`, "up")}},
				{Title: "Scrapes", About: "How long reading a target's metrics takes. The limit is 10 s.", Kind: Lines, Unit: "s", Thresholds: limits(2, 10), Queries: []Query{q(`max by (job) (scrape_duration_seconds)`, "{{job}}")}},
				{Title: "Series by job", About: "How much each job brings. A slope is a label without bound.", Kind: Lines, Unit: "short", Queries: []Query{q(`sum by (job) (scrape_samples_post_metric_relabeling)`, "{{job}}")}},
			}},
			{Height: 6, Panels: []Panel{
				{Title: "Prometheus: series", About: "Series in memory.", Kind: Lines, Unit: "short", Queries: []Query{q(`prometheus_tsdb_head_series`, "series")}},
				{Title: "Prometheus: disk", About: "Blocks on disk, against the limit by size.", Kind: Lines, Unit: "bytes", Queries: []Query{q(`prometheus_tsdb_storage_blocks_bytes`, "blocks")}},
				{Title: "Rules", About: "How long the slowest groups take, and evaluations that failed.", Kind: Lines, Unit: "s", Thresholds: limits(1, 15),
					Queries: []Query{q(`topk(5, prometheus_rule_group_last_duration_seconds)`, "{{rule_group}}")}},
				{Title: "Failed evaluations", About: "Any means alerts that cannot fire.", Kind: Lines, Unit: "short", Thresholds: limits(1, 1), Queries: []Query{q(`sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[5m]))`, "{{rule_group}}")}},
			}},
			{Height: 7, Panels: []Panel{
				{Title: "Notifications", About: "Sent a second, and failed, by way.", Kind: Lines, Unit: "ops",
					Queries: []Query{
						q(`sum by (integration) (rate(alertmanager_notifications_total[$__rate_interval])) > 0`, "{{integration}}"),
						q(`sum by (integration) (rate(alertmanager_notifications_failed_total[$__rate_interval])) > 0`, "{{integration}} failed"),
					}},
				{Title: "WeCom", About: "Calls by result, within five minutes.", Kind: Lines, Unit: "short", Queries: []Query{q(`sum by (result) (increase(pgo_wecom_tries_total[5m])) > 0`, "{{result}}")}},
				{Title: "WeCom: lost or cut", About: "Messages that the group did not get, or not whole, within a day.", Kind: Number, Unit: "short", Width: 4, Thresholds: limits(1, 1), Queries: []Query{q(`sum(increase(pgo_wecom_messages_lost_total[1d]))`, "lost")}},
				{Title: "Watchdog", About: "How long ago the dead-man receiver heard it. After five minutes it tells the group.", Kind: Number, Unit: "s", Width: 4, Thresholds: limits(120, 300), Queries: []Query{q(`max(pgo_wecom_watchdog_age_seconds)`, "silent for")}},
			}},
			{Height: 7, Panels: []Panel{
				{Title: "Telemetry sent", About: "Log lines and spans a second that the collector delivered. Containers only.", Kind: Lines, Unit: "ops",
					Queries: []Query{q(`sum by (exporter) (rate(otelcol_exporter_sent_log_records_total[$__rate_interval]))`, "{{exporter}} lines"), q(`sum by (exporter) (rate(otelcol_exporter_sent_spans_total[$__rate_interval]))`, "{{exporter}} spans")}},
				{Title: "Telemetry not sent", About: "Lost after all tries, and what waits.", Kind: Lines, Unit: "short", Thresholds: limits(1, 1000),
					Queries: []Query{
						q(`sum by (exporter) (increase(otelcol_exporter_send_failed_log_records_total[5m]))`, "{{exporter}} lines"),
						q(`sum by (exporter) (increase(otelcol_exporter_send_failed_spans_total[5m]))`, "{{exporter}} spans"),
						q(`sum by (exporter) (otelcol_exporter_queue_size)`, "{{exporter}} waiting"),
					}},
				{Title: "Loki", About: "Bytes a second that it takes, and streams in memory: a slope is a label without bound.", Kind: Lines, Unit: "short",
					Queries: []Query{q(`sum(rate(loki_distributor_bytes_received_total[$__rate_interval]))`, "bytes"), q(`sum(loki_ingester_memory_streams)`, "streams")}},
			}},
		},
	}
}

// All are the boards, in the order in which they are read.
func All() []Board {
	return []Board{overview(), host(), containers(), service(), data(), logs(), boot(), itself()}
}
