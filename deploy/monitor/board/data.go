package board

func data() Board {
	lines := func(title, about, unit string, queries ...Query) Panel {
		return Panel{Title: title, About: about, Kind: Lines, Unit: unit, Queries: queries}
	}
	limited := func(p Panel, most float64, t []Threshold) Panel {
		p.Max, p.Thresholds = most, t
		return p
	}
	const queues = `queue!~"pgo[.]retry[.].*|.+[.]dead"`
	return Board{
		UID: "pgo-data", Title: "Data", Folder: "Services", About: "MySQL, Redis, RabbitMQ and the gateway, a row each.",
		Rows: []Row{
			{Height: 7, Panels: []Panel{
				lines("MySQL: statements", "Statements a second, and those slower than long_query_time.", "ops",
					q(`rate(mysql_global_status_queries[$__rate_interval])`, "all"), q(`rate(mysql_global_status_slow_queries[$__rate_interval])`, "slow")),
				limited(lines("MySQL: connections", "In use, of how many there may be.", "percentunit",
					q(`mysql_global_status_threads_connected / mysql_global_variables_max_connections`, "connected")), 1, limits(0.6, 0.8)),
				lines("MySQL: locks", "Row locks waited for, a second, and statements that run at this moment.", "short",
					q(`rate(mysql_global_status_innodb_row_lock_waits[$__rate_interval])`, "waits"), q(`mysql_global_status_threads_running`, "running")),
				limited(lines("MySQL: buffer pool", "Share of reads that had to go to the disk.", "percentunit",
					q(`rate(mysql_global_status_innodb_buffer_pool_reads[$__rate_interval]) / rate(mysql_global_status_innodb_buffer_pool_read_requests[$__rate_interval])`, "from disk")), 0, limits(0.01, 0.1)),
			}},
			{Height: 7, Panels: []Panel{
				lines("Redis: commands", "Commands a second.", "ops", q(`rate(redis_commands_processed_total[$__rate_interval])`, "commands")),
				limited(lines("Redis: memory", "In use, of how much it may have.", "percentunit", q(`redis_memory_used_bytes / (redis_memory_max_bytes > 0)`, "used")), 1, limits(0.75, 0.9)),
				lines("Redis: keys", "Keys, and those with a time to live. They should be nearly the same.", "short",
					q(`sum(redis_db_keys)`, "keys"), q(`sum(redis_db_keys_expiring)`, "with a time to live")),
				lines("Redis: expired and evicted keys", "Keys a second whose time was over, and those that had to go for lack of memory.", "ops",
					q(`rate(redis_expired_keys_total[$__rate_interval])`, "expired"), q(`rate(redis_evicted_keys_total[$__rate_interval])`, "evicted")),
			}},
			{Height: 7, Panels: []Panel{
				lines("RabbitMQ: waiting", "Messages that are ready, by queue. Retry queues wait on purpose.", "short", q(`rabbitmq_detailed_queue_messages_ready`, "{{queue}}")),
				lines("RabbitMQ: in and out", "Messages a second that came in and that consumers acknowledged.", "ops",
					q(`sum(rate(rabbitmq_global_messages_received_total[$__rate_interval]))`, "in"), q(`sum(rate(rabbitmq_global_messages_acknowledged_total[$__rate_interval]))`, "acknowledged")),
				limited(Panel{Title: "RabbitMQ: dead letters", About: "Events that failed every retry. Any is one too many; they can be replayed.", Kind: Number, Unit: "short",
					Queries: []Query{q(`sum by (queue) (rabbitmq_detailed_queue_messages_ready{queue=~".+[.]dead"})`, "{{queue}}")}}, 0, limits(1, 1)),
				{Title: "RabbitMQ: consumers", About: "How many consume each queue of a service. A queue of the last day that RabbitMQ does not report has none.", Kind: States, Unit: "short", Thresholds: below(1, 1),
					Queries: []Query{q(`sum by (queue) (rabbitmq_detailed_queue_consumers{`+queues+`}) or 0 * max by (queue) (max_over_time(rabbitmq_detailed_queue_consumers{`+queues+`}[1d]))`, "{{queue}}")}},
			}},
			{Height: 6, Panels: []Panel{
				lines("Gateway: requests", "Requests a second that came in.", "reqps", q(`rate(nginx_http_requests_total[$__rate_interval])`, "requests")),
				lines("Gateway: connections", "What clients' connections do.", "short",
					q(`nginx_connections_active`, "all"), q(`nginx_connections_waiting`, "idle"), q(`nginx_connections_writing`, "being answered")),
				lines("Redis pools", "Connections that each service has open to Redis.", "short", q(`sum by (service) (pgo_redis_pool_open_connections)`, "{{service}}")),
			}},
		},
	}
}
