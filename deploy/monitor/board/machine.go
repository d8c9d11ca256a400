package board

func host() Board {
	const disk = `fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"`
	return Board{
		UID: "pgo-host", Title: "Host", Folder: "Machines", About: "The machine: processor, memory, disks, network.",
		Variables: []Variable{{"instance", "Host", "label_values(node_uname_info, instance)"}},
		Rows: []Row{
			{8, []Panel{
				{Title: "Processor", About: "Share of all cores by what they do. Steal is a neighbour on the same hardware.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: limits(0.7, 0.85),
					Queries: []Query{q(`avg by (mode) (rate(node_cpu_seconds_total{instance=~"$instance",mode!="idle"}[$__rate_interval]))`, "{{mode}}")}},
				{Title: "Load for each core", About: "Processes that run or wait, by core. Above 1 some wait.", Kind: Lines, Unit: "short", Thresholds: limits(1, 2),
					Queries: []Query{q(`node_load1{instance=~"$instance"} / on (instance) count by (instance) (node_cpu_seconds_total{instance=~"$instance",mode="idle"})`, "{{instance}}")}},
				{Title: "Memory", About: "What is used and cannot be taken back, of what there is.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: limits(0.8, 0.9),
					Queries: []Query{q(`instance:node_memory_used:ratio{instance=~"$instance"}`, "{{instance}}")}},
			}},
			{8, []Panel{
				{Title: "Space left", About: "Of each file system. MySQL and RabbitMQ stop on a full one.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: below(0.05, 0.15),
					Queries: []Query{q(`node_filesystem_avail_bytes{instance=~"$instance",`+disk+`} / node_filesystem_size_bytes{instance=~"$instance",`+disk+`}`, "{{instance}} {{mountpoint}}")}},
				{Title: "Disk, busy", About: "Share of the time in which a disk works on something.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: limits(0.7, 0.9),
					Queries: []Query{q(`rate(node_disk_io_time_seconds_total{instance=~"$instance"}[$__rate_interval])`, "{{instance}} {{device}}")}},
				{Title: "Disk, bytes", About: "Read and written a second.", Kind: Lines, Unit: "Bps",
					Queries: []Query{
						q(`sum by (device) (rate(node_disk_read_bytes_total{instance=~"$instance"}[$__rate_interval]))`, "{{device}} read"),
						q(`sum by (device) (rate(node_disk_written_bytes_total{instance=~"$instance"}[$__rate_interval]))`, "{{device}} written"),
					}},
			}},
			{8, []Panel{
				{Title: "Network", About: "Bytes a second by device, without the loopback.", Kind: Lines, Unit: "Bps",
					Queries: []Query{
						q(`rate(node_network_receive_bytes_total{instance=~"$instance",device!="lo"}[$__rate_interval])`, "{{device}} in"),
						q(`rate(node_network_transmit_bytes_total{instance=~"$instance",device!="lo"}[$__rate_interval])`, "{{device}} out"),
					}},
				{Title: "Clock", About: "How far the clock is off. Tokens suffer above 50 ms.", Kind: Lines, Unit: "s", Thresholds: limits(0.02, 0.05),
					Queries: []Query{q(`abs(node_timex_offset_seconds{instance=~"$instance"})`, "{{instance}}")}},
				{Title: "Open files", About: "File descriptors in use on the whole host.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: limits(0.7, 0.9),
					Queries: []Query{q(`node_filefd_allocated{instance=~"$instance"} / node_filefd_maximum{instance=~"$instance"}`, "{{instance}}")}},
			}},
		},
	}
}

func containers() Board {
	const name = "container_label_com_docker_compose_service"
	const by = name + `=~"$container",` + name + `!=""`
	return Board{
		UID: "pgo-containers", Title: "Containers", Folder: "Machines", About: "What containers use of what they may. Empty in native mode, which has none.",
		Variables: []Variable{{"container", "Container", "label_values(container_memory_working_set_bytes{" + name + `!=""}, ` + name + ")"}},
		Rows: []Row{
			{9, []Panel{
				{Title: "Memory", About: "What a container cannot give back. At its limit the kernel kills it.", Kind: Lines, Unit: "bytes",
					Queries: []Query{q(`max by (`+name+`) (container_memory_working_set_bytes{`+by+`})`, "{{"+name+"}}")}},
				{Title: "Memory, of the limit", About: "The same as a share of what it may have.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: limits(0.8, 0.9),
					Queries: []Query{q(`max by (`+name+`) (container_memory_working_set_bytes{`+by+`} / (container_spec_memory_limit_bytes{`+by+`} > 0))`, "{{"+name+"}}")}},
				{Title: "Processor", About: "Cores in use by each container.", Kind: Lines, Unit: "short",
					Queries: []Query{q(`sum by (`+name+`) (rate(container_cpu_usage_seconds_total{`+by+`}[$__rate_interval]))`, "{{"+name+"}}")}},
			}},
			{9, []Panel{
				{Title: "Network", About: "Bytes a second in and out.", Kind: Lines, Unit: "Bps",
					Queries: []Query{
						q(`sum by (`+name+`) (rate(container_network_receive_bytes_total{`+by+`}[$__rate_interval]))`, "{{"+name+"}} in"),
						q(`sum by (`+name+`) (rate(container_network_transmit_bytes_total{`+by+`}[$__rate_interval]))`, "{{"+name+"}} out"),
					}},
				{Title: "Written to disk", About: "Bytes a second.", Kind: Lines, Unit: "Bps",
					Queries: []Query{q(`sum by (`+name+`) (rate(container_fs_writes_bytes_total{`+by+`}[$__rate_interval]))`, "{{"+name+"}}")}},
				{Title: "Restarts and kills", About: "Starts within an hour, and processes that the kernel killed for their memory.", Kind: Lines, Unit: "short", Thresholds: limits(1, 3),
					Queries: []Query{
						q(`max by (`+name+`) (changes(container_start_time_seconds{`+by+`}[1h]))`, "{{"+name+"}} starts"),
						q(`sum by (`+name+`) (increase(container_oom_events_total{`+by+`}[1h]))`, "{{"+name+"}} killed"),
					}},
			}},
		},
	}
}
