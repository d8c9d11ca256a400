package hostsetup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	rulesFile    = "/etc/pgo/firewall.nft"
	firewallUnit = "pgo-firewall.service"
	table        = "pgo" // of the family inet
)

// rules is a file for nft. Its table is pgo's own: it is replaced as a whole, and nobody else's is touched. What another
// table drops stays dropped.
//
// What the container engine publishes does not come by input: it is forwarded, with another address by then.
func rules(open []int) string {
	var ports []string
	for _, port := range open {
		ports = append(ports, strconv.Itoa(port))
	}
	set := "{ " + strings.Join(ports, ", ") + " }"
	body := `	chain input {
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
		tcp dport ` + set + ` accept
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		iifname { "docker0", "podman0" } accept
		iifname "br-*" accept
		ct status dnat meta l4proto tcp ct original proto-dst ` + set + ` accept
		ct status dnat drop
	}
`
	mark := sumOf(body)
	return "# Made by pgo host setup: only SSH and the gateway are open.\n" +
		"table inet " + table + "\ndelete table inet " + table + "\n" +
		"table inet " + table + " {\n" + strings.Replace(body, `iif "lo" accept`, `iif "lo" accept comment "`+mark+`"`, 1) + "}\n"
}

// sumOf marks rules, so that it can be seen whether they are those that are in force.
func sumOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "pgo " + hex.EncodeToString(sum[:8])
}

const firewallText = `# Made by pgo host setup.
[Unit]
Description=pgo's firewall: only SSH and the gateway are open
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
ExecStop=@NFT@ delete table inet pgo

[Install]
WantedBy=sysinit.target
`

// firewall leaves SSH and the gateway open to other machines.
func (s *setup) firewall(ctx context.Context) (Step, error) {
	nft, err := s.find("nft", "install nftables (apt-get install nftables, dnf install nftables), or say --firewall none and filter elsewhere")
	if err != nil {
		return Step{}, err
	}
	ssh, err := s.sshPorts(ctx)
	if err != nil {
		return Step{}, err
	}
	if err := s.otherFirewalls(ctx); err != nil {
		return Step{}, err
	}
	open := slices.Concat(ssh, s.Options.Gateway)
	slices.Sort(open)
	text := rules(slices.Compact(open))
	_, rest, _ := strings.Cut(text, `comment "`)
	mark, _, _ := strings.Cut(rest, `"`)
	step := Step{fmt.Sprintf("a firewall that leaves open: %s", strings.Trim(fmt.Sprint(slices.Compact(open)), "[]")), []Action{
		&file{setup: s, name: rulesFile, text: text, owner: "root", mode: 0o644},
	}}
	if s.boots() {
		unit := strings.NewReplacer("@NFT@", nft, "@RULES@", rulesFile).Replace(firewallText)
		step.Actions = append(step.Actions, &file{setup: s, name: "/etc/systemd/system/" + firewallUnit, text: unit, owner: "root", mode: 0o644},
			s.enable(firewallUnit, "sysinit.target"))
	} else {
		step.What += " (nothing here loads it when the machine starts: have nft -f " + rulesFile + " run then)"
	}
	if s.image() {
		return step, nil
	}
	inForce := func(ctx context.Context) bool {
		said, err := s.Machine.Command(ctx, "nft", "list", "table", "inet", table)
		return err == nil && strings.Contains(said, mark) // else there is none yet
	}
	// nft reads a file as a whole before any of it is in force.
	if !s.boots() {
		step.Actions = append(step.Actions, &command{setup: s, args: []string{"nft", "-f", rulesFile}, done: func(ctx context.Context) (bool, error) { return inForce(ctx), nil }})
		return step, nil
	}
	step.Actions = append(step.Actions, s.reloadUnits(firewallUnit),
		&command{setup: s, args: []string{"systemctl", "reload-or-restart", firewallUnit}, done: func(ctx context.Context) (bool, error) {
			_, err := s.Machine.Command(ctx, "systemctl", "is-active", "--quiet", firewallUnit)
			return err == nil && inForce(ctx), nil // else it does not run
		}})
	return step, nil
}

// sshPorts are those on which sshd is reached: to close them would lock everybody out.
func (s *setup) sshPorts(ctx context.Context) ([]int, error) {
	if len(s.Options.SSH) > 0 {
		return s.Options.SSH, nil
	}
	var ports []int
	add := func(word string) {
		if port, err := strconv.Atoi(word); err == nil {
			ports = append(ports, port)
		}
	}
	if s.image() {
		return []int{22}, nil
	}
	if said, err := s.Machine.Command(ctx, "sshd", "-T"); err == nil {
		for line := range strings.Lines(said) {
			if port, ok := strings.CutPrefix(strings.TrimSpace(line), "port "); ok {
				add(port)
			}
		}
	}
	// Where we came in stays open, whatever sshd says.
	if words := strings.Fields(s.Machine.Getenv("SSH_CONNECTION")); len(words) == 4 {
		add(words[3])
	}
	if len(ports) == 0 {
		return nil, errors.New("sshd does not say on which port it listens (sshd -T): name it with --ssh-port, or it would be locked out")
	}
	return ports, nil
}

// otherFirewalls is an error where somebody else decides already what comes in: two that do not know each other are one
// too many.
func (s *setup) otherFirewalls(ctx context.Context) error {
	if s.image() {
		return nil
	}
	const instead = "open SSH and the gateway there, close the rest, and say --firewall none"
	for _, unit := range []string{"firewalld", "ufw"} {
		if !s.boots() {
			break
		}
		if _, err := s.Machine.Command(ctx, "systemctl", "is-active", "--quiet", unit); err == nil {
			return fmt.Errorf("%s is in charge of what comes in: %s", unit, instead)
		}
	}
	said, err := s.Machine.Command(ctx, "nft", "-j", "list", "ruleset")
	if s.Machine.UID != 0 && err != nil {
		return nil // refused for that already
	}
	if err != nil {
		return fmt.Errorf("ask nft for the rules that are in force: %w: %s", err, strings.TrimSpace(said))
	}
	chain, err := filters(said)
	if err == nil && chain != "" {
		err = fmt.Errorf("another firewall is in charge of what comes in, %s: %s", chain, instead)
	}
	if err != nil {
		return err
	}
	names, _ := os.ReadFile(s.path("/proc/net/ip_tables_names")) // there is none where the old iptables is not used
	if strings.Contains(string(names), "filter") {
		said, err := s.Machine.Command(ctx, "iptables-legacy", "-S", "INPUT")
		if err != nil || strings.TrimSpace(said) != "-P INPUT ACCEPT" {
			return fmt.Errorf("the old iptables filters what comes in: %s", instead)
		}
	}
	return nil
}

// filters names a chain of others that decides what comes in; empty where there is none.
func filters(ruleset string) (string, error) {
	type place struct {
		Family string `json:"family"`
		Table  string `json:"table"`
		Name   string `json:"name"`  // of a chain
		Chain  string `json:"chain"` // of a rule
		Hook   string `json:"hook"`
		Policy string `json:"policy"`
		Type   string `json:"type"`
	}
	var said struct {
		All []struct {
			Chain *place `json:"chain"`
			Rule  *place `json:"rule"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(ruleset), &said); err != nil {
		return "", fmt.Errorf("read the rules that are in force: %w", err)
	}
	inputs := map[place]bool{}
	for _, e := range said.All {
		c := e.Chain
		if c == nil || c.Hook != "input" || c.Type != "filter" || c.Family == "inet" && c.Table == table {
			continue
		}
		if c.Policy == "drop" {
			return fmt.Sprintf("table %s %s, chain %s", c.Family, c.Table, c.Name), nil
		}
		inputs[place{Family: c.Family, Table: c.Table, Name: c.Name}] = true
	}
	for _, e := range said.All {
		if r := e.Rule; r != nil && inputs[place{Family: r.Family, Table: r.Table, Name: r.Chain}] {
			return fmt.Sprintf("table %s %s, chain %s", r.Family, r.Table, r.Chain), nil
		}
	}
	return "", nil
}

// find returns where a program of the machine is.
func (s *setup) find(name, otherwise string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(s.path(path)); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no %s here: %s", name, otherwise)
}
