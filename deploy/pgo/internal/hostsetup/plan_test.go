package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/systemd"
)

// machine is a bare machine in a directory. Its programs are stand-ins that record how they were called.
type machine struct {
	*testing.T
	root    string
	options Options
	uid     int // runs NewPlan
	user    int // UID of the users there
	group   int
	ssh     string            // SSH_CONNECTION
	output  map[string]string // by command line
	failing map[string]bool
	ran     []string
}

// newMachine makes a machine with systemd, nft, docker and sshd. Its users have the UID of this process, or 12345 where that
// is root.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{T: t, root: t.TempDir(), output: map[string]string{}, failing: map[string]bool{}, uid: os.Geteuid(), user: os.Geteuid(), group: os.Getegid()}
	if m.user == 0 {
		m.user, m.group = 12345, 12345
	}
	m.write("/etc/passwd", fmt.Sprintf("root:x:0:0::/root:/bin/bash\ntester:x:%d:%d::/home/tester:/bin/sh\nweb:x:1:1::/:/usr/sbin/nologin\ntoor:x:0:0::/root:/bin/sh\n", m.user, m.group))
	for _, name := range []string{"/run/systemd/system/.keep", "/lib/systemd/systemd", "/usr/sbin/nft", "/usr/bin/docker", "/pgo"} {
		m.write(name, "new pgo")
	}
	m.options = Options{
		Root: m.root, Dir: "/srv/pgo", User: "tester", Program: filepath.Join(m.root, "pgo"), Gateway: []int{8080},
		Key: "ssh-ed25519 AAAAC3Nz deployer", Firewall: NFTables, Connections: 4096, Image: "rocky:9",
	}
	m.output["nft -j list ruleset"] = `{"nftables": []}`
	m.output["sshd -T"] = "port 2222\naddressfamily any\n"
	m.failing["systemctl is-active --quiet firewalld"], m.failing["systemctl is-active --quiet ufw"] = true, true
	m.failing["systemctl is-active --quiet pgo.service"] = true
	m.failing["nft list table inet pgo"], m.failing["nft list table inet pgo_limit"] = true, true
	m.failing["docker inspect -f {{.State.Running}} {{.Config.Image}} {{.Config.WorkingDir}} pgo"] = true
	return m
}

func (m *machine) write(name, text string) {
	m.Helper()
	path := filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) read(name string) string {
	m.Helper()
	text, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		m.Fatal(err)
	}
	return string(text)
}

// command does what the programs would do.
func (m *machine) command(_ context.Context, name string, args ...string) (string, error) {
	line := name + " " + strings.Join(args, " ")
	switch {
	case name == "useradd":
		m.write("/etc/passwd", m.read("/etc/passwd")+fmt.Sprintf("%s:x:%d:%d::/srv/pgo:/bin/sh\n", args[len(args)-1], m.user, m.group))
	case name == "systemctl" && strings.Contains(line, " enable "):
		unit := args[len(args)-1]
		target := map[string]string{systemd.ManagerUnit: "multi-user.target", systemd.FirewallUnit: "sysinit.target", systemd.LimitUnit: "sysinit.target"}[unit]
		m.write("/etc/systemd/system/"+target+".wants/"+unit, "")
	case line == "systemctl start "+systemd.ManagerUnit:
		delete(m.failing, "systemctl is-active --quiet pgo.service")
	case line == "nft -f "+rulesFile:
		delete(m.failing, "nft list table inet pgo")
		m.output["nft list table inet pgo"] = m.read(rulesFile)
	case line == "nft -f "+limitFile:
		delete(m.failing, "nft list table inet pgo_limit")
		m.output["nft list table inet pgo_limit"] = m.read(limitFile)
	case m.failing[line]:
		return "", errors.New("exit status 3")
	default:
		return m.output[line], nil
	}
	m.ran = append(m.ran, line)
	return "", nil
}

func (m *machine) plan() (Plan, error) {
	return m.planWith(m.options)
}

// planWith plans with other options. With / as Root it plans as on the machine itself.
func (m *machine) planWith(o Options) (Plan, error) {
	return NewPlan(m.Context(), o, Machine{UID: m.uid, Getenv: func(name string) string { return map[string]string{"SSH_CONNECTION": m.ssh}[name] }, Command: m.command})
}

func (m *machine) apply() Plan {
	m.Helper()
	plan, err := m.plan()
	if err != nil {
		m.Fatal(err)
	}
	if err := plan.Apply(m.Context(), func(string) {}); err != nil {
		m.Fatal(err)
	}
	return plan
}

func printed(p Plan) string {
	var b strings.Builder
	p.Print(&b)
	return b.String()
}

// In an image nothing is started, all files are written, and a second run has nothing to do.
func TestPlanImage(t *testing.T) {
	m := newMachine(t)
	m.options.User = "deployer"
	m.options.Gateway = []int{8443, 8080, 22}
	text := printed(m.apply())
	for _, want := range []string{
		"useradd --prefix " + m.root + " --system --user-group --home-dir /srv/pgo --no-create-home --shell /bin/sh --password '*' deployer\n",
		"install -d -o deployer -g deployer -m 0700 /srv/pgo/.pgo\n",
		"install -o deployer -g deployer -m 0755 " + m.root + "/pgo /srv/pgo/bin/pgo\n",
		"systemctl --root " + m.root + " enable pgo.service\n",
		"tcp dport { 22, 8080, 8443 } accept\n",
		"User=deployer\n", "ExecStart=/srv/pgo/bin/pgo up --foreground\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if key := m.read("/srv/pgo/.ssh/authorized_keys"); key != `command="/srv/pgo/bin/pgo receive --home /srv/pgo/.pgo --as deployer",restrict ssh-ed25519 AAAAC3Nz deployer`+"\n" {
		t.Errorf("the key is %s", key)
	}
	if m.read("/srv/pgo/bin/pgo") != "new pgo" {
		t.Error("pgo is not there")
	}
	for _, line := range m.ran {
		if !strings.HasPrefix(line, "useradd --prefix ") && !strings.HasPrefix(line, "systemctl --root ") {
			t.Errorf("it ran %s", line)
		}
	}
	if plan, err := m.plan(); err != nil || len(plan) != 0 {
		t.Errorf("a second time: %v\n%s", err, printed(plan))
	}
	// A file that has changed since is replaced, and nothing else.
	m.write("/etc/systemd/system/pgo.service", "other")
	m.write("/pgo", "newer pgo")
	if plan := m.apply(); len(plan) != 2 || strings.Count(printed(plan), "\ninstall ") != 2 {
		t.Errorf("two files have changed:\n%s", printed(plan))
	}
	if plan, err := m.plan(); err != nil || len(plan) != 0 {
		t.Errorf("after it: %v\n%s", err, printed(plan))
	}
}

func TestPlanRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(m *machine)
		want   string
	}{
		{"relative directory", func(m *machine) { m.options.Dir = "srv/pgo" }, "--dir"},
		{"the root", func(m *machine) { m.options.Dir = "/" }, "--dir"},
		{"a directory with a quote", func(m *machine) { m.options.Dir = `/srv/p"go` }, "--dir"},
		{"a directory above", func(m *machine) { m.options.Dir = "/srv/../etc" }, "--dir"},
		{"root as user", func(m *machine) { m.options.User = "root" }, "--user"},
		{"root by another name", func(m *machine) { m.options.User = "toor" }, "root by another name"},
		{"a user with no shell", func(m *machine) { m.options.User = "web" }, "nologin"},
		{"not a user name", func(m *machine) { m.options.User = "-x" }, "--user"},
		{"a key with options", func(m *machine) { m.options.Key = `command="sh" ssh-ed25519 AAAA` }, "public key"},
		{"two keys", func(m *machine) { m.options.Key = "ssh-ed25519 AAAA a\nssh-ed25519 BBBB b" }, "public key"},
		{"a key whose comment is not a name", func(m *machine) { m.options.Key = "ssh-ed25519 AAAA a;b" }, "audit log"},
		{"a key that may do more already", func(m *machine) { m.write("/home/tester/.ssh/authorized_keys", "ssh-ed25519 AAAAC3Nz me\n") }, "other rights"},
		{"no port", func(m *machine) { m.options.Gateway = []int{70000} }, "70000"},
		{"no ports", func(m *machine) { m.options.Gateway = nil }, "--gateway"},
		{"unknown firewall", func(m *machine) { m.options.Firewall = "pf" }, "--firewall"},
		{"unknown starter", func(m *machine) { m.options.Run = "upstart" }, "--run"},
		{"no nft", func(m *machine) { m.remove("/usr/sbin/nft") }, "apt-get install nftables"},
		{"no nft for the limit alone", func(m *machine) { m.remove("/usr/sbin/nft"); m.options.Firewall = None }, "--connections 0"},
		{"a limit below 0", func(m *machine) { m.options.Connections = -1 }, "--connections -1"},
		{"a limit of no ports", func(m *machine) { m.options.Gateway, m.options.Firewall = nil, None }, "--gateway"},
		{"neither systemd nor containers", func(m *machine) { m.remove("/lib/systemd/systemd"); m.remove("/usr/bin/docker") }, "neither systemd"},
		{"systemd is asked for and missing", func(m *machine) { m.remove("/lib/systemd/systemd"); m.options.Run = Systemd }, "systemd does not run"},
		{"a container in an image", func(m *machine) { m.options.Run = Container }, "in an image"},
		{"a container and no engine", func(m *machine) { m.remove("/usr/bin/docker"); m.options.Run = Container }, "neither docker nor podman"},
		{"a link in pgo's directory", func(m *machine) {
			m.write("/srv/pgo/x", "")
			if err := os.Symlink("/etc", filepath.Join(m.root, "srv/pgo/bin")); err != nil {
				m.Fatal(err)
			}
		}, "is not a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			test.change(m)
			plan, err := m.plan()
			if err == nil || !strings.Contains(err.Error(), test.want) || plan != nil {
				t.Errorf("%v, want %q; plan:\n%s", err, test.want, printed(plan))
			}
			if len(m.ran) > 0 {
				t.Errorf("it ran %v", m.ran)
			}
		})
	}
}

func (m *machine) remove(name string) {
	m.Helper()
	if err := os.Remove(filepath.Join(m.root, name)); err != nil {
		m.Fatal(err)
	}
}

func TestFindInputChain(t *testing.T) {
	const chain = `{"chain": {"family": "%s", "table": "%s", "name": "%s", "type": "filter", "hook": "%s", "policy": "%s"}}`
	rule := func(family, table, chain string) string {
		return fmt.Sprintf(`{"rule": {"family": %q, "table": %q, "chain": %q}}`, family, table, chain)
	}
	tests := []struct {
		name string
		all  []string
		want string
	}{
		{"none", nil, ""},
		{"the distribution's empty one", []string{fmt.Sprintf(chain, "inet", "filter", "input", "input", "accept")}, ""},
		{"our own", []string{fmt.Sprintf(chain, "inet", "pgo", "input", "input", "drop"), rule("inet", "pgo", "input")}, ""},
		{"of the container engine", []string{fmt.Sprintf(chain, "ip", "filter", "FORWARD", "forward", "drop"), rule("ip", "filter", "FORWARD"), rule("ip", "filter", "DOCKER")}, ""},
		{"one that drops", []string{fmt.Sprintf(chain, "inet", "filter", "input", "input", "drop")}, "table inet filter, chain input"},
		{"one with a rule", []string{fmt.Sprintf(chain, "ip", "filter", "INPUT", "input", "accept"), rule("ip", "filter", "INPUT")}, "table ip filter, chain INPUT"},
		{"no answer", []string{"?"}, "read the rules"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := findInputChain(`{"nftables": [` + strings.Join(test.all, ",") + `]}`)
			if output := got + fmt.Sprint(err); test.want == "" && (got != "" || err != nil) || !strings.Contains(output, test.want) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// systemd accepts the units, and nft the rules.
func TestPlanFilesAreValid(t *testing.T) {
	m := newMachine(t)
	m.apply()
	dir := t.TempDir()
	var files []string
	for _, name := range []string{systemd.ManagerUnit, systemd.FirewallUnit, systemd.LimitUnit} {
		// What the units start is not on this machine.
		text := strings.NewReplacer("/srv/pgo/bin/pgo", "/bin/true", "/usr/sbin/nft", "/bin/true").Replace(m.read("/etc/systemd/system/" + name))
		files = append(files, filepath.Join(dir, name))
		if err := os.WriteFile(files[len(files)-1], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := exec.Command("systemd-analyze", append([]string{"verify", "--man=no", "--recursive-errors=yes"}, files...)...)
	verify.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":/lib/systemd/system", "SYSTEMD_LOG_LEVEL=warning")
	if output, err := verify.CombinedOutput(); err != nil || len(output) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, output)
	}
	runInOwnNet(t, `nft -c -f "$1"`, filepath.Join(m.root, rulesFile))
}

// runInOwnNet runs a script in a network namespace of its own.
func runInOwnNet(t *testing.T, script string, args ...string) string {
	t.Helper()
	name := []string{"--net"}
	if os.Geteuid() != 0 {
		name = append(name, "--map-root-user")
	}
	cmd := exec.Command("unshare", append(append(name, "sh", "-euc", script, "sh"), args...)...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a network of its own (Debian's packages nftables and iproute2): %v\n%s", err, output)
	}
	return string(output)
}

// Rules that are loaded twice are in force once, other tables stay, and the rules in force are recognized.
func TestFormatRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.nft")
	text := formatRules([]int{22, 8080})
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	output := runInOwnNet(t, `nft add table inet other; nft -f "$1"; nft -f "$1"; nft list ruleset; nft -j list ruleset >"$1.json"`, file)
	_, rest, _ := strings.Cut(text, `comment "`)
	mark, _, _ := strings.Cut(rest, `"`)
	for _, want := range []string{"table inet other", "policy drop", mark, "tcp dport { 22, 8080 } accept"} {
		if strings.Count(output, want) != 1 {
			t.Errorf("%q is there %d times in\n%s", want, strings.Count(output, want), output)
		}
	}
	json, err := os.ReadFile(file + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if chain, err := findInputChain(string(json)); err != nil || chain != "" {
		t.Errorf("pgo's own table counts as another firewall: %q, %v", chain, err)
	}
}

// This machine itself takes root, and the error names every obstacle at once.
func TestPlanNotRoot(t *testing.T) {
	m := newMachine(t)
	m.uid = 1000
	m.options.Root, m.options.User, m.options.Run = "/", "nobody-of-that-name", "container"
	m.output["sshd -T"] = ""
	plan, err := m.plan()
	if !errors.Is(err, ErrRefused) || plan != nil {
		t.Fatalf("%v\n%s", err, printed(plan))
	}
	for _, want := range []string{"it takes root", "--ssh-port"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if len(m.ran) > 0 {
		t.Errorf("it ran %v", m.ran)
	}
	// The port of this SSH session is open in any case.
	m.ssh = "10.0.0.1 4711 10.0.0.2 2022"
	if _, err := m.plan(); err == nil || strings.Contains(err.Error(), "--ssh-port") {
		t.Error(err)
	}
}
