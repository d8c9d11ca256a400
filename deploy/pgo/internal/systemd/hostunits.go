package systemd

import "strings"

// managerText is the unit of pgo itself. The keeper is its main process: it holds the listeners and restarts a manager
// that ends, so systemd has to know the keeper alone.
const managerText = `# Made by pgo host setup.
[Unit]
Description=pgo: what @DIR@/configs/pgo.yaml lists
Wants=network-online.target
After=network-online.target
# Until there is a process file there is nothing to run.
ConditionPathExists=@DIR@/configs/pgo.yaml
StartLimitIntervalSec=0

[Service]
Type=exec
User=@USER@
WorkingDirectory=@DIR@
Environment=PGO_HOME=@DIR@/.pgo XDG_RUNTIME_DIR=/run/pgo
RuntimeDirectory=pgo
RuntimeDirectoryMode=0700
ExecStart=@DIR@/bin/pgo up --foreground
# pgo down ends it. A failure restarts it, unless the command line or the process file is wrong.
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=64 78
# pgo stops what it runs, in order. Processes that are left when it has gone would be in the way of the next one.
KillMode=mixed
TimeoutStopSec=180
# A service that the kernel kills for its memory takes no other down: pgo restarts it.
OOMPolicy=continue
LimitNOFILE=65536
TasksMax=infinity
NoNewPrivileges=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target
`

// Manager returns the unit that runs pgo from its directory as a user.
func Manager(dir, user string) Unit {
	return Unit{ManagerUnit, strings.NewReplacer("@DIR@", dir, "@USER@", user).Replace(managerText)}
}

const rulesText = `# Made by pgo host setup.
[Unit]
Description=@DESCRIPTION@
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
# The distribution's own rules begin with "flush ruleset": these come after them, again whenever those are loaded again.
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=@NFT@ -f @RULES@
ExecReload=@NFT@ -f @RULES@
ExecStop=@NFT@ delete table inet @TABLE@

[Install]
WantedBy=sysinit.target
`

// Firewall returns the unit that loads a file of nftables rules before the network is up, and deletes their table of the
// family inet when it stops. nft is the path of that program.
func Firewall(nft, rules, table string) Unit {
	return newRulesUnit(FirewallUnit, "pgo's firewall: only SSH and the gateway are open", nft, rules, table)
}

// ConnectionLimit returns the unit that does the same for the limit of connections.
func ConnectionLimit(nft, rules, table string) Unit {
	return newRulesUnit(LimitUnit, "pgo's limit of one address's connections to the gateway", nft, rules, table)
}

func newRulesUnit(name, description, nft, rules, table string) Unit {
	return Unit{name, strings.NewReplacer("@DESCRIPTION@", description, "@NFT@", nft, "@RULES@", rules, "@TABLE@", table).Replace(rulesText)}
}
