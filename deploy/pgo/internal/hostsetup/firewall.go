package hostsetup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"pgo/deploy/pgo/internal/systemd"
)

const (
	rulesFile = "/etc/pgo/firewall.nft"
	table     = "pgo" // of the family inet
)

// formatRules returns a file for nft that replaces pgo's own table as a whole and touches no other. Packets that another
// table drops stay dropped.
//
// Packets to ports that the container engine publishes do not pass the chain input: they are forwarded, and have another
// address by then.
func formatRules(open []int) string {
	portSet := formatPorts(open)
	return formatTable("only SSH and the gateway are open.", table, `	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state established,related accept
		ct state invalid drop
		# Containers may reach what is published here; nobody comes from outside by these.
		iifname { "docker0", "podman0" } accept
		iifname "br-*" accept
		# ICMP and ICMPv6, by number: a bare host has no list of their names.
		meta l4proto { 1, 58 } accept
		# Addresses by DHCP.
		udp dport { 68, 546 } accept
		tcp dport `+portSet+` accept
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		iifname { "docker0", "podman0" } accept
		iifname "br-*" accept
		ct status dnat meta l4proto tcp ct original proto-dst `+portSet+` accept
		ct status dnat drop
	}
`)
}

// formatPorts returns ports as a set in nft's language.
func formatPorts(ports []int) string {
	var words []string
	for _, port := range ports {
		words = append(words, strconv.Itoa(port))
	}
	return "{ " + strings.Join(words, ", ") + " }"
}

// formatTable returns a file for nft that replaces a table of the family inet as a whole. The rule for loopback in the body gets
// the mark of the rules as its comment.
func formatTable(purpose, name, body string) string {
	return "# Made by pgo host setup: " + purpose + "\n" +
		"table inet " + name + "\ndelete table inet " + name + "\n" +
		"table inet " + name + " {\n" + strings.Replace(body, `iif "lo" accept`, `iif "lo" accept comment "`+hashRules(body)+`"`, 1) + "}\n"
}

// hashRules returns a mark of rules, by which the rules in force are recognized.
func hashRules(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "pgo " + hex.EncodeToString(sum[:8])
}

// planFirewall plans rules that leave SSH and the gateway open to other machines.
func (p *planner) planFirewall(ctx context.Context) (Step, error) {
	nft, err := p.findProgram("nft", "install nftables (apt-get install nftables, dnf install nftables), or use --firewall none and filter elsewhere")
	if err != nil {
		return Step{}, err
	}
	ssh, err := p.findSSHPorts(ctx)
	if err != nil {
		return Step{}, err
	}
	if err := p.rejectOtherFirewalls(ctx); err != nil {
		return Step{}, err
	}
	open := slices.Concat(ssh, p.Options.Gateway)
	slices.Sort(open)
	open = slices.Compact(open)
	step := Step{"a firewall that leaves open: " + strings.Trim(fmt.Sprint(open), "[]"), nil}
	p.addTable(&step, table, rulesFile, formatRules(open), systemd.Firewall(nft, rulesFile, table))
	return step, nil
}

// addTable adds to a step the actions that write the file of a table, load it, and have the unit load it whenever the machine
// starts.
func (p *planner) addTable(step *Step, name, rules, text string, unit systemd.Unit) {
	_, rest, _ := strings.Cut(text, `comment "`)
	mark, _, _ := strings.Cut(rest, `"`)
	step.Actions = append(step.Actions, &file{planner: p, name: rules, text: text, owner: "root", mode: 0o644})
	if p.hasSystemd() {
		step.Actions = append(step.Actions, p.writeUnit(unit), p.enableUnit(unit.Name, "sysinit.target"))
	} else {
		step.Purpose += " (nothing here loads it when the machine starts: have nft -f " + rules + " run then)"
	}
	if p.isImage() {
		return
	}
	isInForce := func(ctx context.Context) bool {
		output, err := p.Machine.Command(ctx, "nft", "list", "table", "inet", name) // it fails where there is no such table
		return err == nil && strings.Contains(output, mark)
	}
	// nft reads a file as a whole before any of it is in force.
	if !p.hasSystemd() {
		step.Actions = append(step.Actions, &command{planner: p, args: []string{"nft", "-f", rules}, isDone: func(ctx context.Context) (bool, error) { return isInForce(ctx), nil }})
		return
	}
	step.Actions = append(step.Actions, p.reloadUnits(unit.Name),
		&command{planner: p, args: []string{"systemctl", "reload-or-restart", unit.Name}, isDone: func(ctx context.Context) (bool, error) {
			_, err := p.Machine.Command(ctx, "systemctl", "is-active", "--quiet", unit.Name)
			return err == nil && isInForce(ctx), nil
		}})
}

// findSSHPorts returns the ports of sshd, which must stay open: without them nobody could log in any more.
func (p *planner) findSSHPorts(ctx context.Context) ([]int, error) {
	if len(p.Options.SSH) > 0 {
		return p.Options.SSH, nil
	}
	var ports []int
	add := func(word string) {
		if port, err := strconv.Atoi(word); err == nil {
			ports = append(ports, port)
		}
	}
	if p.isImage() {
		return []int{22}, nil
	}
	if output, err := p.Machine.Command(ctx, "sshd", "-T"); err == nil {
		for line := range strings.Lines(output) {
			if port, ok := strings.CutPrefix(strings.TrimSpace(line), "port "); ok {
				add(port)
			}
		}
	}
	// The port of this session stays open, whatever sshd reports.
	if words := strings.Fields(p.Machine.Getenv("SSH_CONNECTION")); len(words) == 4 {
		add(words[3])
	}
	if len(ports) == 0 {
		return nil, errors.New("sshd does not report its port (sshd -T): name it with --ssh-port, or the firewall would close it")
	}
	return ports, nil
}

// rejectOtherFirewalls returns an error if another firewall filters incoming packets already: two that do not know each
// other contradict each other.
func (p *planner) rejectOtherFirewalls(ctx context.Context) error {
	if p.isImage() {
		return nil
	}
	const instead = "open SSH and the gateway there, close the rest, and use --firewall none"
	for _, unit := range []string{"firewalld", "ufw"} {
		if !p.hasSystemd() {
			break
		}
		if _, err := p.Machine.Command(ctx, "systemctl", "is-active", "--quiet", unit); err == nil {
			return fmt.Errorf("%s is in charge of what comes in: %s", unit, instead)
		}
	}
	ruleset, err := p.Machine.Command(ctx, "nft", "-j", "list", "ruleset")
	if p.Machine.UID != 0 && err != nil {
		return nil // without root the plan is refused anyway
	}
	if err != nil {
		return fmt.Errorf("ask nft for the rules that are in force: %w: %s", err, strings.TrimSpace(ruleset))
	}
	chain, err := findInputChain(ruleset)
	if err == nil && chain != "" {
		err = fmt.Errorf("another firewall is in charge of what comes in, %s: %s", chain, instead)
	}
	if err != nil {
		return err
	}
	names, _ := os.ReadFile(p.hostPath("/proc/net/ip_tables_names")) // the file is missing where the old iptables is not used
	if strings.Contains(string(names), "filter") {
		rules, err := p.Machine.Command(ctx, "iptables-legacy", "-S", "INPUT")
		if err != nil || strings.TrimSpace(rules) != "-P INPUT ACCEPT" {
			return fmt.Errorf("the old iptables filters what comes in: %s", instead)
		}
	}
	return nil
}

// findInputChain returns the name of a chain outside of pgo's table that filters incoming packets, or "" where there is
// none.
func findInputChain(ruleset string) (string, error) {
	type object struct {
		Family string `json:"family"`
		Table  string `json:"table"`
		Name   string `json:"name"`  // of a chain
		Chain  string `json:"chain"` // of a rule
		Hook   string `json:"hook"`
		Policy string `json:"policy"`
		Type   string `json:"type"`
	}
	var list struct {
		Objects []struct {
			Chain *object `json:"chain"`
			Rule  *object `json:"rule"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(ruleset), &list); err != nil {
		return "", fmt.Errorf("read the rules that are in force: %w", err)
	}
	inputs := map[object]bool{}
	for _, e := range list.Objects {
		c := e.Chain
		if c == nil || c.Hook != "input" || c.Type != "filter" || c.Family == "inet" && c.Table == table {
			continue
		}
		if c.Policy == "drop" {
			return fmt.Sprintf("table %s %s, chain %s", c.Family, c.Table, c.Name), nil
		}
		inputs[object{Family: c.Family, Table: c.Table, Name: c.Name}] = true
	}
	for _, e := range list.Objects {
		if r := e.Rule; r != nil && inputs[object{Family: r.Family, Table: r.Table, Name: r.Chain}] {
			return fmt.Sprintf("table %s %s, chain %s", r.Family, r.Table, r.Chain), nil
		}
	}
	return "", nil
}
