package board

func host() Board {
	const disk = `fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"`
	// Devices that the kernel or the engine makes: their traffic is that of others.
	const network, block = `device!~"lo|docker.*|br-.*|veth.*|ifb.*|virbr.*|cni.*|flannel.*|tun.*|tap.*"`, `device!~"zram.*|loop.*|ram.*|sr.*|fd.*"`
	named := func(expr string) string {
		return "(" + expr + `) * on (instance) group_left (nodename) node_uname_info{nodename=~"$host"}`
	}
	return Board{
		UID: "pgo-host", Title: "Host", Folder: "Machines", About: "The machine: processor, memory, disks, network.",
		Variables: []Variable{{Name: "host", Label: "Host", Query: "label_values(node_uname_info, nodename)"}},
		Rows: []Row{
			{Height: 8, Panels: []Panel{
				{Title: "Processor", About: "Share of all cores by what they do. Steal is a neighbour on the same hardware.", Kind: Lines, Unit: "percentunit", Max: 1, Stacked: true, Thresholds: limits(0.7, 0.85),
					Queries: []Query{q(`avg by (mode) (`+named(`rate(node_cpu_seconds_total{mode!="idle"}[$__rate_interval])`)+`)`, "{{mode}}")}},
				{Title: "Load for each core", About: "Processes that run or wait, by core. Above 1 some wait.", Kind: Lines, Unit: "short", Thresholds: limits(1, 2),
					Queries: []Query{q(named(`node_load1 / on (instance) count by (instance) (node_cpu_seconds_total{mode="idle"})`), "{{nodename}}")}},
				{Title: "Memory", About: "What is used and cannot be taken back, of what there is.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: limits(0.8, 0.9),
					Queries: []Query{q(named(`instance:node_memory_used:ratio`), "{{nodename}}")}},
			}},
			{Height: 8, Panels: []Panel{
				{Title: "Space left", About: "Of each file system. MySQL and RabbitMQ stop on a full one.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: below(0.05, 0.15),
					Queries: []Query{q(named(`node_filesystem_avail_bytes{`+disk+`} / node_filesystem_size_bytes{`+disk+`}`), "{{nodename}} {{mountpoint}}")}},
				{Title: "Disk, busy", About: "Share of the time in which a disk works on something.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: limits(0.7, 0.9),
					Queries: []Query{q(named(`rate(node_disk_io_time_seconds_total{`+block+`}[$__rate_interval])`), "{{nodename}} {{device}}")}},
				{Title: "Disk, bytes", About: "Read and written a second.", Kind: Lines, Unit: "Bps",
					Queries: []Query{
						q(`sum by (device) (`+named(`rate(node_disk_read_bytes_total{`+block+`}[$__rate_interval])`)+`)`, "{{device}} read"),
						q(`sum by (device) (`+named(`rate(node_disk_written_bytes_total{`+block+`}[$__rate_interval])`)+`)`, "{{device}} written"),
					}},
			}},
			{Height: 8, Panels: []Panel{
				{Title: "Network", About: "Bytes a second by device, without the loopback and the bridges of containers.", Kind: Lines, Unit: "Bps",
					Queries: []Query{
						q(named(`rate(node_network_receive_bytes_total{`+network+`}[$__rate_interval])`), "{{device}} in"),
						q(named(`rate(node_network_transmit_bytes_total{`+network+`}[$__rate_interval])`), "{{device}} out"),
					}},
				{Title: "Clock", About: "How far the clock is off. Tokens suffer above 50 ms.", Kind: Lines, Unit: "s", Thresholds: limits(0.02, 0.05),
					Queries: []Query{q(named(`abs(node_timex_offset_seconds)`), "{{nodename}}")}},
				{Title: "Open files", About: "File descriptors in use on the whole host.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: limits(0.7, 0.9),
					Queries: []Query{q(named(`node_filefd_allocated / node_filefd_maximum`), "{{nodename}}")}},
			}},
		},
	}
}

func containers() Board {
	const name = "container_label_com_docker_compose_service"
	const by = name + `=~"$container",` + name + `!=""`
	return Board{
		UID: "pgo-containers", Title: "Containers", Folder: "Machines", About: "What containers use of what they may. Empty in native mode, which has none.", Empty: "no containers: native mode has none",
		Variables: []Variable{{Name: "container", Label: "Container", Query: "label_values(container_memory_working_set_bytes{" + name + `!=""}, ` + name + ")"}},
		Rows: []Row{
			{Height: 9, Panels: []Panel{
				{Title: "Memory", About: "What a container cannot give back. At its limit the kernel kills it.", Kind: Lines, Unit: "bytes",
					Queries: []Query{q(`max by (`+name+`) (container_memory_working_set_bytes{`+by+`})`, "{{"+name+"}}")}},
				{Title: "Memory, of the limit", About: "The same as a share of what it may have.", Kind: Lines, Unit: "percentunit", Max: 1, Thresholds: limits(0.8, 0.9),
					Queries: []Query{q(`max by (`+name+`) (container_memory_working_set_bytes{`+by+`} / (container_spec_memory_limit_bytes{`+by+`} > 0))`, "{{"+name+"}}")}},
				{Title: "Processor", About: "Cores in use by each container.", Kind: Lines, Unit: "short",
					Queries: []Query{q(`sum by (`+name+`) (rate(container_cpu_usage_seconds_total{`+by+`}[$__rate_interval]))`, "{{"+name+"}}")}},
			}},
			{Height: 9, Panels: []Panel{
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
						q(`sum by (`+name+`) (increase(pgo_container_oom_kills_total{`+by+`}[1h]))`, "{{"+name+"}} killed"),
					}},
			}},
		},
	}
}
