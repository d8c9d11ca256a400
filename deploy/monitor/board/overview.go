package board

func services() []Variable {
	return []Variable{
		{"service", "Service", "label_values(pgo_build_info, service)"},
		{"instance", "Instance", `label_values(pgo_build_info{service=~"$service"}, instance)`},
	}
}

func overview() Board {
	return Board{
		UID: "pgo-overview", Title: "Overview", Folder: "Start", About: "Is everything well? If not, which board is next?",
		Variables: services()[:1],
		Rows: []Row{
			{4, []Panel{
				{Title: "Firing, critical", About: "Alerts that somebody has to act on now. Each has a runbook.", Kind: Number, Unit: "short", Width: 4, Thresholds: limits(1, 1),
					Queries: []Query{q(`count(ALERTS{alertstate="firing",severity="critical"}) or vector(0)`, "critical")}},
				{Title: "Firing, warning", About: "Alerts that somebody should look at today.", Kind: Number, Unit: "short", Width: 4, Thresholds: []Threshold{{1, "orange"}},
					Queries: []Query{q(`count(ALERTS{alertstate="firing",severity="warning"}) or vector(0)`, "warning")}},
				{Title: "Availability budget left", About: "Of the failed requests that the objective allows in its window, what is left. Below 0 the promise is broken.", Kind: Number, Unit: "percentunit", Thresholds: below(0, 0.25),
					Queries: []Query{q(`slo:budget:remaining{slo="availability",service=~"$service"}`, "{{service}}")}},
				{Title: "Latency budget left", About: "The same for requests that took longer than the threshold.", Kind: Number, Unit: "percentunit", Thresholds: below(0, 0.25),
					Queries: []Query{q(`slo:budget:remaining{slo="latency",service=~"$service"}`, "{{service}}")}},
			}},
			{7, []Panel{
				{Title: "Requests", About: "Requests a second to each service, without probes.", Kind: Lines, Unit: "reqps",
					Queries: []Query{q(`service:http_requests:rate5m{service=~"$service"}`, "{{service}}")}},
				{Title: "Errors", About: "Share of requests answered with 5xx.", Kind: Lines, Unit: "percentunit", Thresholds: limits(0.001, 0.0144),
					Queries: []Query{q(`service:http_errors:rate5m{service=~"$service"} / service:http_requests:rate5m{service=~"$service"}`, "{{service}}")}},
				{Title: "Latency, 99th percentile", About: "One request in a hundred takes longer than this.", Kind: Lines, Unit: "s", Thresholds: limits(0.5, 1),
					Queries: []Query{q(`service:http_request_duration_seconds:p99_5m{service=~"$service"}`, "{{service}}")}},
			}},
			{7, []Panel{
				{Title: "What fires", About: "All alerts that fire now. The runbook of each is in docs/runbooks.", Kind: Table, Unit: "short", Width: 10, Columns: []string{"alertname", "severity", "service", "server", "instance"},
					Queries: []Query{q(`sum by (alertname, severity, service, server, instance) (ALERTS{alertstate="firing",alertname!="Watchdog"})`, "count")}},
				{Title: "Servers", About: "What bootcheck sees of MySQL, Redis and RabbitMQ, every five seconds.", Kind: States, Unit: "short", Width: 7, Thresholds: below(1, 1),
					Queries: []Query{q(`pgo_bootcheck_server_up`, "{{server}}")}},
				{Title: "Events that wait", About: "Age of the oldest event in each outbox. Above a minute other services work with an old view.", Kind: Lines, Unit: "s", Thresholds: limits(10, 60),
					Queries: []Query{q(`max by (service) (pgo_outbox_oldest_pending_seconds{service=~"$service"})`, "{{service}}")}},
			}},
			{8, []Panel{processTable()}},
		},
	}
}

// processTable is `pgo list`.
func processTable() Panel {
	return Panel{
		Title: "pgo list", About: "Every process under pgo: what `pgo list` shows.", Kind: Table, Unit: "short",
		Columns: []string{"service", "instance", "kind", "version", "state", "ready", "restarts", "up for", "cpu", "memory"},
		Queries: []Query{
			q(`max by (service, instance, kind, version) (pgo_process_info)`, "process"),
			q(`max by (service, instance, state) (pgo_process_state == 1)`, "current"),
			q(`max by (service, instance) (pgo_process_restarts_total)`, "restarts"),
			q(`time() - max by (service, instance) (pgo_process_start_time_seconds)`, "up for"),
			q(`sum by (service, instance) (rate(pgo_process_cpu_seconds_total[5m]))`, "cpu"),
			q(`sum by (service, instance) (pgo_process_resident_memory_bytes)`, "memory"),
		},
	}
}
