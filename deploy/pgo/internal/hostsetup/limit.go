package hostsetup

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"

	"pgo/deploy/pgo/internal/systemd"
)

const (
	limitFile  = "/etc/pgo/limit.nft"
	limitTable = "pgo_limit" // of the family inet
)

// formatLimit returns a file for nft with a table that limits how many connections one address, or one IPv6 network of 64 bits, has
// open to the ports. A packet that would open one more is dropped, so the client tries again by itself. nginx counts a connection
// only when it has the whole header of its first request, and this rule counts it from its first packet.
//
// The hook comes before the addresses of packets to published ports of containers are changed: the rule counts both.
func formatLimit(ports []int, connections int) string {
	rule := func(key, set string) string {
		return fmt.Sprintf("\t\ttcp dport %s ct state new add @%s { %s ct count over %d } drop\n", formatPorts(ports), set, key, connections)
	}
	return formatTable("one address has at most "+strconv.Itoa(connections)+" connections to the gateway.", limitTable, `	set clients4 {
		type ipv4_addr
		size 65535
		flags dynamic
	}
	set clients6 {
		type ipv6_addr
		size 65535
		flags dynamic
	}
	chain prerouting {
		type filter hook prerouting priority -150; policy accept;
		iif "lo" accept
		iifname { "docker0", "podman0" } accept
		iifname "br-*" accept
`+rule("ip saddr", "clients4")+rule("ip6 saddr & ffff:ffff:ffff:ffff::", "clients6")+`	}
`)
}

// planLimit plans the limit of connections. It is a table of its own, which allows what it does not limit, and so does not
// contradict another firewall. With 0 connections it plans the removal of the limit.
func (p *planner) planLimit() (Step, error) {
	if p.Options.Connections == 0 {
		return p.planLimitRemoval(), nil
	}
	nft, err := p.findProgram("nft", "install nftables (apt-get install nftables, dnf install nftables), or use --connections 0 and limit the connections of an address elsewhere")
	if err != nil {
		return Step{}, err
	}
	ports := slices.Sorted(slices.Values(p.Options.Gateway))
	step := Step{fmt.Sprintf("a limit of %d connections of one address to the gateway", p.Options.Connections), nil}
	p.addTable(&step, limitTable, limitFile, formatLimit(slices.Compact(ports), p.Options.Connections), systemd.ConnectionLimit(nft, limitFile, limitTable))
	return step, nil
}

// planLimitRemoval plans that nothing is left of the limit.
func (p *planner) planLimitRemoval() Step {
	unitFile := unitPath(systemd.LimitUnit)
	step := Step{Purpose: "no limit of connections"}
	switch {
	case !p.hasSystemd():
	case p.isImage():
		step.Actions = append(step.Actions, p.stopUnit(unitFile, "systemctl", "--root", p.Options.Root, "disable", systemd.LimitUnit))
	default:
		step.Actions = append(step.Actions, p.stopUnit(unitFile, "systemctl", "disable", "--now", systemd.LimitUnit))
	}
	if !p.isImage() {
		step.Actions = append(step.Actions, &command{planner: p, args: []string{"nft", "delete", "table", "inet", limitTable}, isDone: func(ctx context.Context) (bool, error) {
			// A unit that is about to be stopped deletes its table.
			_, err := p.Machine.Command(ctx, "nft", "list", "table", "inet", limitTable)
			return err != nil || p.exists(unitFile), nil
		}})
	}
	step.Actions = append(step.Actions, &removal{p, unitFile}, &removal{p, limitFile})
	if p.hasSystemd() && !p.isImage() {
		step.Actions = append(step.Actions, p.reloadUnits(systemd.LimitUnit))
	}
	return step
}

// stopUnit returns the Action that runs a command where there is the file of a unit.
func (p *planner) stopUnit(unitFile string, args ...string) Action {
	return &command{planner: p, args: args, isDone: func(context.Context) (bool, error) { return !p.exists(unitFile), nil }}
}

func (p *planner) exists(name string) bool {
	_, err := os.Lstat(p.hostPath(name))
	return err == nil
}

// removal is an Action that removes a file.
type removal struct {
	planner *planner
	name    string
}

func (r *removal) IsDone(context.Context) (bool, error) { return !r.planner.exists(r.name), nil }

func (r *removal) Apply(context.Context) error { return os.Remove(r.planner.hostPath(r.name)) }

func (r *removal) String() string { return "rm " + Quote(r.name) }
