package board

func service() Board {
	const by = `service=~"$service",instance=~"$instance"`
	const req = `http_server_request_duration_seconds`
	const users = `http_route!~"/livez|/readyz|/startupz|/internal/.+"` // not probes and not the services' own
	return Board{
		UID: "pgo-service", Title: "Service", Folder: "Services", About: "One service: requests, errors, latency, and what it works with.",
		Variables: services(),
		Rows: []Row{
			{Height: 6, Panels: []Panel{
				{Title: "Requests by route", About: "Requests a second. Paths are the templates of routes.", Kind: Lines, Unit: "reqps",
					Queries: []Query{q(`sum by (http_route) (rate(`+req+`_count{`+by+`,`+users+`}[$__rate_interval]))`, "{{http_route}}")}},
				{Title: "Errors by status", About: "Answers with 4xx and 5xx a second. 5xx are ours, 4xx the callers'.", Kind: Lines, Unit: "reqps", Colors: map[string]string{"^4": "orange", "^5": "red"},
					Queries: []Query{q(`sum by (http_response_status_code) (rate(`+req+`_count{`+by+`,http_response_status_code=~"[45].."}[$__rate_interval]))`, "{{http_response_status_code}}")}},
				{Title: "Latency", About: "Half of the requests, and 99 of 100, are faster than this. A point leads to a trace.", Kind: Lines, Unit: "s", Thresholds: limits(0.5, 1),
					Queries: []Query{
						{Expr: `histogram_quantile(0.99, sum by (le) (rate(` + req + `_bucket{` + by + `,` + users + `}[$__rate_interval])))`, Legend: "p99", Exemplars: true},
						q(`histogram_quantile(0.50, sum by (le) (rate(`+req+`_bucket{`+by+`,`+users+`}[$__rate_interval])))`, "p50"),
					}},
				{Title: "In-flight requests", About: "Requests that are being answered at this moment.", Kind: Lines, Unit: "short",
					Queries: []Query{q(`sum by (service, instance) (http_server_active_requests{`+by+`})`, "{{service}}/{{instance}}")}},
				{Title: "Probes and internal requests", About: "Health checks, and what services ask one another. No other panel and no objective counts them.", Kind: Lines, Unit: "reqps",
					Queries: []Query{q(`sum by (http_route) (rate(`+req+`_count{`+by+`,http_route=~"/livez|/readyz|/startupz|/internal/.+"}[$__rate_interval]))`, "{{http_route}}")}},
			}, Title: "Requests"},
			{Height: 6, Panels: []Panel{
				{Title: "Database pool", About: "Connections in use, of how many there may be.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: limits(0.7, 0.9),
					Queries: []Query{q(`service:db_pool_used:ratio{`+by+`}`, "{{service}}/{{instance}}")}},
				{Title: "Waiting for a connection", About: "Seconds a second that requests wait for a database connection, all together.", Kind: Lines, Unit: "s", Thresholds: limits(0.1, 1),
					Queries: []Query{q(`sum by (service, instance) (rate(go_sql_wait_duration_seconds_total{`+by+`}[$__rate_interval]))`, "{{service}}/{{instance}}")}},
				{Title: "Cache", About: "Reads by result: hit, miss, or bypass while Redis is unavailable.", Kind: Lines, Unit: "ops",
					Queries: []Query{q(`sum by (result) (rate(pgo_cache_reads_total{`+by+`}[$__rate_interval]))`, "{{result}}")}},
				{Title: "Sign-ins", About: "Attempts by the limits' answer, and where they are counted.", Kind: Lines, Unit: "ops",
					Queries: []Query{q(`sum by (result, counted_in) (rate(pgo_login_attempts_total{`+by+`}[$__rate_interval]))`, "{{result}}, {{counted_in}}")}},
			}, Title: "Database and cache"},
			{Height: 6, Panels: []Panel{
				{Title: "Outbox", About: "Events published and failed a second, by the relay that is at work.", Kind: Lines, Unit: "ops",
					Queries: []Query{
						q(`sum by (service) (rate(pgo_outbox_published_total{`+by+`}[$__rate_interval]))`, "{{service}} published"),
						q(`sum by (service) (rate(pgo_outbox_failures_total{`+by+`}[$__rate_interval]))`, "{{service}} failed"),
					}},
				{Title: "Outbox: waiting", About: "Events that wait to be published.", Kind: Lines, Unit: "short",
					Queries: []Query{q(`max by (service) (pgo_outbox_pending{`+by+`})`, "{{service}}")}},
				{Title: "Events handled", About: "Deliveries a second by queue and what became of them.", Kind: Lines, Unit: "ops",
					Queries: []Query{q(`sum by (queue, result) (rate(pgo_mq_deliveries_total{`+by+`}[$__rate_interval]))`, "{{queue}} {{result}}")}},
				{Title: "Handling an event", About: "99 of 100 events are handled faster than this.", Kind: Lines, Unit: "s", Thresholds: limits(1, 10),
					Queries: []Query{q(`histogram_quantile(0.99, sum by (queue, le) (rate(pgo_mq_handle_duration_seconds_bucket{`+by+`}[$__rate_interval])))`, "{{queue}}")}},
				{Title: "Broker", About: "Whether the connections for publishing and consuming can be used.", Kind: States, Unit: "short", Thresholds: below(1, 1), Names: yesNo("up", "down"),
					Queries: []Query{q(`min by (service, link) (pgo_mq_connected{`+by+`})`, "{{service}} {{link}}")}},
			}, Title: "Events"},
			{Height: 6, Panels: []Panel{
				{Title: "Goroutines", About: "What runs or waits at once in each process. A slope is a leak.", Kind: Lines, Unit: "short", Thresholds: limits(500, 1000),
					Queries: []Query{q(`go_goroutines{job="services",`+by+`}`, "{{service}}/{{instance}}")}},
				{Title: "Memory", About: "What the kernel counts for each process, and the heap that is in use.", Kind: Lines, Unit: "bytes",
					Queries: []Query{
						q(`process_resident_memory_bytes{job="services",`+by+`}`, "{{service}}/{{instance}} resident"),
						q(`go_memstats_heap_inuse_bytes{job="services",`+by+`}`, "{{service}}/{{instance}} heap"),
					}},
				{Title: "CPU", About: "Cores in use by each process.", Kind: Lines, Unit: "short",
					Queries: []Query{q(`rate(process_cpu_seconds_total{job="services",`+by+`}[$__rate_interval])`, "{{service}}/{{instance}}")}},
				{Title: "Versions", About: "What was built from which commit, as it runs now.", Kind: Table, Unit: "short", Columns: []string{"service", "instance", "version", "commit", "go"},
					Queries: []Query{q(`max by (service, instance, version, commit, go) (pgo_build_info{`+by+`})`, "-")}},
			}, Title: "Process"},
		},
	}
}
