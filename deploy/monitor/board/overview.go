package board

func services() []Variable {
	return []Variable{
		{Name: "service", Label: "Service", Query: "label_values(pgo_build_info, service)"},
		{Name: "instance", Label: "Instance", Query: `label_values(pgo_build_info{service=~"$service"}, instance)`},
	}
}

func overview() Board {
	return Board{
		UID: "pgo-overview", Title: "Overview", Folder: "Start", About: "Is everything well? If not, which board is next?",
		Variables: services()[:1],
		Rows: []Row{
			{Height: 4, Panels: []Panel{
				{Title: "Firing, critical", About: "Alerts that somebody has to act on now. Each has a runbook.", Kind: Number, Unit: "short", Width: 4, Thresholds: limits(1, 1),
					Queries: []Query{q(`count(ALERTS{alertstate="firing",severity="critical"}) or vector(0)`, "critical")}},
				{Title: "Firing, warning", About: "Alerts that somebody should look at today.", Kind: Number, Unit: "short", Width: 4, Thresholds: []Threshold{{1, "orange"}},
					Queries: []Query{q(`count(ALERTS{alertstate="firing",severity="warning"}) or vector(0)`, "warning")}},
				{Title: "Availability budget left", About: "Of the failed requests that the objective allows in its window, what is left. Below 0 the promise is broken.", Kind: Number, Unit: "percentunit", Thresholds: below(0, 0.25),
					Queries: []Query{q(`slo:budget:remaining{slo="availability",service=~"$service"}`, "{{service}}")}},
				{Title: "Latency budget left", About: "The same for requests that took longer than the threshold.", Kind: Number, Unit: "percentunit", Thresholds: below(0, 0.25),
					Queries: []Query{q(`slo:budget:remaining{slo="latency",service=~"$service"}`, "{{service}}")}},
			}},
			{Height: 7, Panels: []Panel{
				{Title: "Requests", About: "Requests a second to each service, without probes.", Kind: Lines, Unit: "reqps",
					Queries: []Query{q(`service:http_requests:rate5m{service=~"$service"}`, "{{service}}")}},
				{Title: "Errors", About: "Share of requests answered with 5xx.", Kind: Lines, Unit: "percentunit", Thresholds: limits(0.001, 0.0144),
					Queries: []Query{q(`service:http_errors:rate5m{service=~"$service"} / service:http_requests:rate5m{service=~"$service"}`, "{{service}}")}},
				{Title: "Latency, 99th percentile", About: "One request in a hundred takes longer than this.", Kind: Lines, Unit: "s", Thresholds: limits(0.5, 1),
					Queries: []Query{q(`service:http_request_duration_seconds:p99_5m{service=~"$service"}`, "{{service}}")}},
			}},
			{Height: 7, Panels: []Panel{
				alertTable(),
				{Title: "Servers", About: "What bootcheck sees of MySQL, Redis and RabbitMQ, every five seconds.", Kind: States, Unit: "short", Width: 5, Thresholds: below(1, 1), Names: yesNo("up", "down"),
					Queries: []Query{q(`pgo_bootcheck_server_up`, "{{server}}")}},
				{Title: "Outbox lag", About: "Age of the oldest event in each outbox. Above a minute other services work with an old view.", Kind: Lines, Unit: "s", Thresholds: limits(10, 60),
					Queries: []Query{q(`max by (service) (pgo_outbox_oldest_pending_seconds{service=~"$service"})`, "{{service}}")}},
			}},
			{Height: 8, Panels: []Panel{processTable()}},
		},
	}
}

// alertTable lists the alerts that fire or are pending, the most severe first. The name of each leads to its runbook.
func alertTable() Panel {
	return Panel{
		Title: "Firing alerts", About: "Alerts that fire, and those that are pending: they fire if they last. The name leads to the runbook, the board to where it is seen.",
		Kind: Table, Unit: "short", Width: 13, Sorted: "severity",
		Columns: []string{"severity", "alertstate", "alertname", "about", "service", "instance", "since", "board", "runbooks"}, Hidden: []string{"runbooks"},
		Names: []Name{{"critical", "critical", "red"}, {"warning", "warning", "orange"}, {"firing", "firing", "red"}, {"pending", "pending", "yellow"}},
		Queries: []Query{q(`1000 * max by (severity, alertstate, alertname, service, instance, about, board, runbooks) (
  ALERTS{alertname!="Watchdog"} * ignoring (alertstate) group_left () ALERTS_FOR_STATE{alertname!="Watchdog"}
  * on (alertname) group_left (about, board) alert:info
  * on () group_left (runbooks) alert:links
)`, "since")},
	}
}

// processTable is `pgo list`.
func processTable() Panel {
	return Panel{
		Title: "Processes", About: "Every process under pgo, as `pgo list` shows them. Those that are not ready come first.", Kind: Table, Unit: "short", Sorted: "ready",
		Columns: []string{"state", "service", "instance", "version", "up for", "restarts", "cpu", "memory", "warning", "ready"}, Hidden: []string{"ready"},
		Names: []Name{
			{"ready", "ready", "green"}, {"running", "running", "green"}, {"done", "done", "green"}, {"starting", "starting", "orange"}, {"stopping", "stopping", "orange"},
			{"stopped", "stopped", "text"}, {"waiting", "waiting", "orange"}, {"backoff", "backoff", "red"}, {"failed", "failed", "red"}, {"1", "near a limit", "orange"}, {"0", "", "transparent"},
		},
		Queries: []Query{
			q(`max by (service, instance, version) (pgo_process_info)`, "-"),
			q(`max by (service, instance, state) (pgo_process_state == 1)`, "-"),
			q(`max by (service, instance) (pgo_process_ready)`, "ready"),
			q(`max by (service, instance) (pgo_process_warning)`, "warning"),
			q(`max by (service, instance) (pgo_process_restarts_total)`, "restarts"),
			q(`time() - max by (service, instance) (pgo_process_start_time_seconds)`, "up for"),
			q(`sum by (service, instance) (rate(pgo_process_cpu_seconds_total[5m]))`, "cpu"),
			q(`sum by (service, instance) (pgo_process_resident_memory_bytes)`, "memory"),
		},
	}
}
