package install

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgo/pkg/testing/localserver"
)

// machine is a directory that stands for /, with an apt-get that "installs" by creating files in it.
type machine struct {
	t    *testing.T
	root string
}

func newMachine(t *testing.T) machine {
	return machine{t: t, root: t.TempDir()}
}

func (m machine) path(p string) string { return filepath.Join(m.root, p) }

func (m machine) write(p, content string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(p)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.path(p), []byte(content), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) read(p string) string {
	content, err := os.ReadFile(m.path(p))
	if err != nil {
		return ""
	}
	return string(content)
}

// apt installs an apt-get that records each call and policy-rc.d's exit code during it.
func (m machine) apt(extra string) {
	m.write("/usr/bin/apt-get", `#!/bin/sh
root=`+m.root+`
"$root/usr/sbin/policy-rc.d" mariadb start; policy=$?
echo "policy=$policy $DEBIAN_FRONTEND $*" >> "$root/calls"
`+extra+`
put() { mkdir -p "$(dirname "$root$1")"; echo > "$root$1"; chmod +x "$root$1"; }
for word in "$@"; do case $word in
  mariadb-server) put /usr/sbin/mariadbd;;
  redis-server) put /usr/bin/redis-server;;
  rabbitmq-server) put /usr/lib/rabbitmq/bin/rabbitmq-server; put /usr/bin/epmd;;
  nginx) put /usr/sbin/nginx;;
  chromium) put /usr/bin/chromium;;
  gcc) put /usr/bin/gcc;;
  libc6-dev) put /usr/include/stdio.h;;
  npm) put /usr/bin/npm;;
  systemd) put /usr/bin/systemd-analyze;;
  prometheus) put /usr/bin/promtool;;
  prometheus-*-exporter) put /usr/bin/$word;;
  prometheus-alertmanager) put /usr/bin/prometheus-alertmanager;;
  certbot) put /usr/bin/certbot;;
  openssl) put /usr/bin/openssl;;
  openssh-server) put /usr/sbin/sshd;;
  openssh-client) put /usr/bin/scp;;
  rsync) put /usr/bin/rsync;;
  nftables) put /usr/sbin/nft;;
  tzdata) put /usr/share/zoneinfo/Asia/Shanghai;;
  curl) put /usr/bin/curl;;
esac; done
`)
}

func (m machine) installer() Installer {
	return Installer{
		Programs: localserver.Programs{Root: m.root, Path: "/usr/bin"}, Self: "/checkout/bin/stack",
		In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{},
	}
}

func TestInstall(t *testing.T) {
	const install = "-q install -y --no-install-recommends "
	const lists = "/var/lib/apt/lists/deb_Packages"
	tests := []struct {
		name    string
		setup   func(m machine)
		change  func(i *Installer)
		calls   []string // what apt-get must have been called with, in order
		refused string
		fails   string
	}{
		{
			name:  "a fresh machine",
			setup: func(m machine) { m.apt("") },
			calls: []string{"-q update", install + "mariadb-server redis-server rabbitmq-server nginx"},
		},
		{
			name: "one is missing, lists are there",
			setup: func(m machine) {
				m.apt("")
				m.write(lists, "")
				m.write("/usr/bin/redis-server", "")
				m.write("/usr/sbin/nginx", "")
			},
			calls: []string{install + "mariadb-server rabbitmq-server"},
		},
		{
			name: "old lists",
			setup: func(m machine) {
				m.write(lists, "")
				m.apt(`case $* in *update*) touch $root/updated; exit 0;; esac; [ -e $root/updated ] || exit 100`)
			},
			calls: []string{install + "mariadb-server", "-q update", install + "mariadb-server"},
		},
		{
			name:   "tests need a browser and tools",
			setup:  func(m machine) { m.apt(""); m.write(lists, "") },
			change: func(i *Installer) { i.Tests = true },
			calls: []string{install + "mariadb-server redis-server rabbitmq-server nginx chromium gcc libc6-dev npm systemd prometheus prometheus-alertmanager " +
				"prometheus-node-exporter prometheus-mysqld-exporter prometheus-redis-exporter prometheus-nginx-exporter certbot openssl openssh-server openssh-client rsync nftables curl tzdata"},
		},
		{
			name: "nothing is missing",
			setup: func(m machine) {
				for _, p := range []string{"/usr/sbin/mysqld", "/usr/bin/redis-server", "/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/bin/epmd", "/usr/sbin/nginx"} {
					m.write(p, "")
				}
			},
		},
		{
			name:    "no apt-get",
			setup:   func(m machine) {},
			refused: "no apt-get",
		},
		{
			name:    "an ordinary user without sudo",
			setup:   func(m machine) { m.apt("") },
			change:  func(i *Installer) { i.Euid = 1000 },
			refused: "no sudo",
		},
		{
			name:    "an ordinary user whose sudo needs a password, without a terminal",
			setup:   func(m machine) { m.apt(""); m.write("/usr/bin/sudo", "#!/bin/sh\nexit 1\n") },
			change:  func(i *Installer) { i.Euid = 1000 },
			refused: "sudo wants a password",
		},
		{
			name:    "a person says no",
			setup:   func(m machine) { m.apt("") },
			change:  func(i *Installer) { i.Terminal, i.In = true, strings.NewReader("n\n") },
			refused: "not installed",
		},
		{
			name:   "a person says yes",
			setup:  func(m machine) { m.apt(""); m.write(lists, "") },
			change: func(i *Installer) { i.Terminal, i.In = true, strings.NewReader("\n") },
			calls:  []string{install + "mariadb-server"},
		},
		{
			name:  "apt-get fails",
			setup: func(m machine) { m.write(lists, ""); m.apt("exit 100") },
			calls: []string{install + "mariadb-server", "-q update"},
			fails: "apt-get",
		},
		{
			name:  "apt-get installs nothing",
			setup: func(m machine) { m.write(lists, ""); m.apt("exit 0") },
			calls: []string{install + "mariadb-server"},
			fails: "still missing",
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t)
			tc.setup(m)
			i := m.installer()
			if tc.change != nil {
				tc.change(&i)
			}
			err := i.Run(context.Background())
			var refused *RefusedError
			switch {
			case tc.refused != "":
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), tc.refused) ||
					!strings.Contains(err.Error(), "sudo apt-get install -y --no-install-recommends mariadb-server redis-server rabbitmq-server nginx") {
					t.Errorf("error %v", err)
				}
			case tc.fails != "":
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("error %v, want %q", err, tc.fails)
				}
			case err != nil:
				t.Errorf("error %v", err)
			}
			calls := strings.Split(strings.TrimSpace(m.read("calls")), "\n")
			if m.read("calls") == "" {
				calls = nil
			}
			if len(calls) != len(tc.calls) {
				t.Fatalf("calls:\n%s\nwant %d", m.read("calls"), len(tc.calls))
			}
			for n, call := range calls {
				if !strings.Contains(call, tc.calls[n]) || !strings.HasPrefix(call, "policy=101 noninteractive ") {
					t.Errorf("call %d is %q, want %q with servers kept from starting", n, call, tc.calls[n])
				}
			}
			if m.read("/usr/sbin/policy-rc.d") != "" {
				t.Error("policy-rc.d was left behind")
			}
		})
	}
}

func TestExistingPolicyIsRestored(t *testing.T) {
	const path = "/usr/sbin/policy-rc.d"
	tests := []struct {
		name, before, saved, after string
	}{
		{"none", "", "", ""},
		{"one that allows", "#!/bin/sh\nexit 0\n", "", "#!/bin/sh\nexit 0\n"},
		{"one that forbids", "#!/bin/sh\n# theirs\nexit 101\n", "", "#!/bin/sh\n# theirs\nexit 101\n"},
		{"own policy of a killed installation", policy, "", ""},
		{"own policy, and a renamed one", policy, "#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 0\n"},
		{"a renamed policy alone", "", "#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 0\n"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t)
			for p, content := range map[string]string{path: tc.before, path + savedName: tc.saved} {
				if content != "" {
					m.write(p, content)
				}
			}
			restore, err := denyStarts(m.path(path))
			if err != nil {
				t.Fatal(err)
			}
			if code := exitCode(m.path(path), "nginx", "start"); code != forbidden {
				t.Errorf("during the installation it exits with %d", code)
			}
			if err := restore(); err != nil {
				t.Fatal(err)
			}
			if got := m.read(path); got != tc.after {
				t.Errorf("afterwards it is %q, want %q", got, tc.after)
			}
			if m.read(path+savedName) != "" {
				t.Error("the renamed policy still exists")
			}
		})
	}
}

func TestPolicyIsRestoredAfterInterrupt(t *testing.T) {
	m := newMachine(t)
	m.write("/var/lib/apt/lists/deb_Packages", "")
	m.write("/usr/sbin/policy-rc.d", "#!/bin/sh\n# theirs\nexit 0\n")
	m.apt("trap 'kill $!; exit 1' TERM; sleep 60 & wait")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.installer().Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); m.read("calls") == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("apt-get was not called")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := m.read("/usr/sbin/policy-rc.d"); !strings.Contains(got, "theirs") {
		t.Errorf("policy-rc.d is %q", got)
	}
}
