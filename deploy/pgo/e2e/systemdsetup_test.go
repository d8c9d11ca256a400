//go:build systemd

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/systemdtest"
)

// pgo host setup on a machine with a systemd and a network of its own: user, unit and firewall take effect.
func TestHostSetup(t *testing.T) {
	m := systemdtest.Start(t, true)
	binary, err := os.ReadFile(pgoPath)
	if err != nil {
		t.Fatal(err)
	}
	m.WriteFile("/root/pgo", binary, 0o755)
	const setup = "/root/pgo host setup --ssh-port 22 --connections 5 --key 'ssh-ed25519 AAAA ci' "
	if output, err := m.TryRun(setup); err == nil || !strings.Contains(output, "useradd") || !strings.Contains(output, "no terminal") {
		t.Errorf("without a yes: %v\n%s", err, output)
	}
	if output := m.Run(setup + "--dry-run"); !strings.Contains(output, "nothing was changed") {
		t.Error(output)
	}
	if output, err := m.TryRun("id pgo || nft list table inet pgo || ls /srv/pgo"); err == nil {
		t.Errorf("it has changed something: %s", output)
	}
	t.Log(m.Run(setup + "--yes"))
	if output := m.Run(setup + "--yes"); output != "there is nothing to do\n" {
		t.Errorf("a second time:\n%s", output)
	}
	// With a process file pgo is started.
	m.WriteFile("/srv/pgo/configs/pgo.yaml", []byte("version: 1\nprocesses:\n  one: {kind: infra, command: sleep, args: [\"1000\"]}\n"), 0o644)
	t.Log(m.Run(setup + "--yes"))
	if output := m.Run(setup + "--yes"); output != "there is nothing to do\n" {
		t.Errorf("after the start:\n%s", output)
	}
	runs := func() {
		t.Helper()
		eventually(t, "one runs", func() error {
			output, err := m.TryRun("su pgo -c '/srv/pgo/bin/pgo list --home /srv/pgo/.pgo' | grep -E 'one .*(ready|running)'; systemctl is-active pgo && systemctl is-active pgo-firewall && ps -o user= -C sleep | grep pgo")
			if err != nil {
				return fmt.Errorf("%w: %s%s", err, output, m.Run("systemctl status --no-pager pgo || true"))
			}
			return nil
		})
	}
	runs()
	// A killed pgo is restarted; a stopped one is not.
	m.Run("systemctl kill -s KILL --kill-whom=main pgo")
	runs()
	if output := m.Run(setup + "--connections 0 --yes; " + setup + "--connections 0 --yes; nft list tables"); !strings.Contains(output, "there is nothing to do") || strings.Contains(output, "pgo_limit") {
		t.Errorf("without a limit:\n%s", output)
	}
	t.Log(m.Run(setup + "--yes"))
	m.Run("systemctl stop pgo; ! pgrep -u pgo")
	// From another machine SSH and the gateway are reachable, and nothing else.
	output := m.Run(`ip netns add outside
ip link add inner type veth peer name outer netns outside
ip addr add 10.99.0.1/24 dev inner; ip link set inner up
ip -n outside addr add 10.99.0.2/24 dev outer; ip -n outside link set outer up
printf '[Socket]\nListenStream=22\nListenStream=8080\nListenStream=8443\nListenStream=3306\nListenStream=9900\nAccept=yes\n' >/etc/systemd/system/open.socket
printf '[Service]\nExecStart=/bin/true\n' >/etc/systemd/system/open@.service
systemctl daemon-reload; systemctl start open.socket
for port in 22 8080 8443 3306 9900; do
	timeout 2 ip netns exec outside bash -c "</dev/tcp/10.99.0.1/$port" 2>/dev/null && echo -n "$port "
done; true`)
	if output != "22 8080 8443 " {
		t.Errorf("from another machine are open: %s", output)
	}
	// One address holds as many connections as it may; another address is served meanwhile.
	output = m.Run(`ip -n outside addr add 10.99.0.3/24 dev outer
for n in 1 2 3 4 5 6 7 8; do
	ip netns exec outside timeout 4 bash -c 'exec 3<>/dev/tcp/10.99.0.1/8080 && echo -n "open " && sleep 10' 2>/dev/null &
done
sleep 2
ip netns exec outside curl -s --interface 10.99.0.3 -m 1 http://10.99.0.1:8443/ || echo -n "other address: $?"
wait`)
	if output != "open open open open open other address: 52" && output != "open open open open open other address: 56" {
		t.Errorf("eight connections of one address, and one of another: %s", output)
	}
	// The distribution's rules flush everything: pgo's are set again after them.
	m.Run("printf '#!/usr/sbin/nft -f\\nflush ruleset\\n' >/etc/nftables.conf; systemctl start nftables; systemctl restart pgo-firewall pgo-limit; nft list table inet pgo; nft list table inet pgo_limit")
	for _, verb := range []string{"reload", "restart"} {
		m.Run("systemctl " + verb + " nftables")
		eventually(t, "the rules are in force after a "+verb+" of nftables", func() error {
			_, err := m.TryRun("nft list table inet pgo && nft list table inet pgo_limit")
			return err
		})
	}
	if output := m.Run(setup + "--yes"); !strings.Contains(output, "done: a unit that runs pgo") || strings.Contains(output, "firewall") {
		t.Errorf("after pgo was stopped:\n%s", output)
	}
	// In a container, where an engine is wanted: a stand-in runs the command that it is given, as the user that it is given.
	m.WriteFile("/usr/local/bin/docker", []byte(`#!/bin/sh
echo "$@" >>/root/docker.log
case $1 in
inspect) cat /run/container 2>/dev/null ;;
run)
	while [ "$1" != /srv/pgo/bin/pgo ]; do case $1 in --user) user=$2 ;; rocky:*) image=$1 ;; -w) dir=$2 ;; -e) export "$2" ;; esac; shift; done
	echo "true $image $dir" >/run/container
	cd $dir; setsid setpriv --reuid ${user%:*} --regid ${user#*:} --clear-groups "$@" </dev/null >/tmp/container.log 2>&1 &
esac
`), 0o755)
	m.Run("systemctl stop open.socket; systemctl disable --now pgo; cp /usr/local/bin/docker /usr/bin/")
	t.Log(m.Run(setup + "--run container --image rocky:9 --yes"))
	if output := m.Run(setup + "--run container --image rocky:9 --yes"); output != "there is nothing to do\n" {
		t.Errorf("a second container:\n%s", output)
	}
	if output, err := m.TryRun(setup + "--run container --image other:9 --yes"); err == nil || !strings.Contains(output, "another one (rocky:9 /srv/pgo)") {
		t.Errorf("with another container: %v\n%s", err, output)
	}
	eventually(t, "one runs in the container", func() error {
		output, err := m.TryRun("su pgo -c '/srv/pgo/bin/pgo list --home /srv/pgo/.pgo' | grep -E 'one .*(ready|running)' || { cat /tmp/container.log; false; }")
		if err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
		return nil
	})
	m.Run("su pgo -c '/srv/pgo/bin/pgo down --home /srv/pgo/.pgo'; systemctl enable pgo")
	// Another firewall is not changed.
	m.Run("nft add table ip other; nft 'add chain ip other input { type filter hook input priority 0; policy drop; }'; systemctl stop pgo")
	if output, err := m.TryRun(setup + "--yes"); err == nil || !strings.Contains(output, "table ip other, chain input") {
		t.Errorf("with another firewall: %v\n%s", err, output)
	}
	if output, err := m.TryRun("systemctl is-active pgo"); err == nil {
		t.Errorf("it was refused, and pgo is %s", output)
	}
}
