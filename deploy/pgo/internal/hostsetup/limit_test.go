package hostsetup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgo/deploy/pgo/internal/systemd"
)

// The rules are those of the golden file, nft accepts them, and those that are loaded twice are in force once beside other tables.
func TestFormatLimit(t *testing.T) {
	text := formatLimit([]int{8080, 8443}, 4096)
	golden := filepath.Join("testdata", "limit.nft")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("the rules differ from %s (-want +got):\n%s", golden, diff)
	}
	output := runInOwnNet(t, `nft add table inet other; nft -c -f "$1"; nft -f "$1"; nft -f "$1"; nft list ruleset`, golden)
	_, rest, _ := strings.Cut(text, `comment "`)
	mark, _, _ := strings.Cut(rest, `"`)
	for _, want := range []string{"table inet other", "table inet pgo_limit", mark, "ip saddr ct count over 4096", "ip6 saddr & ffff:ffff:ffff:ffff:: ct count over 4096"} {
		if strings.Count(output, want) != 1 {
			t.Errorf("%q is there %d times in\n%s", want, strings.Count(output, want), output)
		}
	}
}

// The limit is set up beside any firewall, follows its option, and is removed by 0.
func TestPlanLimit(t *testing.T) {
	for _, firewall := range []string{NFTables, None} {
		t.Run("firewall "+firewall, func(t *testing.T) {
			m := newMachine(t)
			m.options.Firewall, m.options.Gateway = firewall, []int{8443, 8080, 8443}
			text := printed(m.apply())
			for _, want := range []string{"a limit of 4096 connections", "tcp dport { 8080, 8443 } ct state new", "systemctl --root " + m.root + " enable pgo-limit.service\n"} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			if plan, err := m.plan(); err != nil || len(plan) != 0 {
				t.Errorf("a second time: %v\n%s", err, printed(plan))
			}
			m.options.Connections = 100
			if text := printed(m.apply()); !strings.Contains(text, "ct count over 100 ") || strings.Contains(text, "firewall.nft") {
				t.Errorf("another limit:\n%s", text)
			}
			m.options.Connections = 0
			removed := printed(m.apply())
			for _, want := range []string{"systemctl --root " + m.root + " disable pgo-limit.service\n", "rm " + limitFile + "\n", "rm /etc/systemd/system/pgo-limit.service\n"} {
				if !strings.Contains(removed, want) {
					t.Errorf("no %q in\n%s", want, removed)
				}
			}
			if m.exists(limitFile) || m.exists("/etc/systemd/system/"+systemd.LimitUnit) {
				t.Error("files of the limit are left")
			}
			if plan, err := m.plan(); err != nil || len(plan) != 0 {
				t.Errorf("after the removal: %v\n%s", err, printed(plan))
			}
		})
	}
}

func (m *machine) exists(name string) bool {
	m.Helper()
	_, err := os.Lstat(filepath.Join(m.root, name))
	return err == nil
}
