package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/processfile"
)

// newCheckout makes a directory with a process file and executable programs, and loads the file.
func newCheckout(t *testing.T, text string, vars map[string]string, programs ...string) (processfile.File, Options) {
	t.Helper()
	root := t.TempDir()
	o := Options{Home: filepath.Join(root, ".pgo"), Lookup: func(name string) (string, bool) {
		if name == "PGO_HOME" {
			return filepath.Join(root, ".pgo"), true
		}
		value, ok := vars[name]
		return value, ok
	}}
	writeFile(t, filepath.Join(root, ".pgo", "env"), "FROM_FILE=1\nDB_PASSWORD=hunter2\n", 0o600)
	for _, name := range programs {
		writeFile(t, filepath.Join(root, name), "#!/bin/sh\n", 0o755)
	}
	path := filepath.Join(root, "configs", "pgo.yaml")
	writeFile(t, path, text, 0o644)
	f, err := processfile.Load(path, o.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	return f, o
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// verifyUnits has systemd itself check the units: it must print nothing.
func verifyUnits(t *testing.T, units []Unit) {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for _, u := range units {
		writeFile(t, filepath.Join(dir, u.Name), u.Content, 0o644)
		files = append(files, filepath.Join(dir, u.Name))
	}
	cmd := exec.Command("systemd-analyze", append([]string{"verify", "--man=no", "--recursive-errors=yes"}, files...)...)
	// Of the machine's units only those that come with systemd.
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":/lib/systemd/system", "SYSTEMD_LOG_LEVEL=warning")
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify (Debian's package systemd has it): %v\n%s", err, out)
	}
}

func contentOf(t *testing.T, units []Unit, name string) string {
	t.Helper()
	for _, u := range units {
		if u.Name == name {
			return u.Content
		}
	}
	t.Fatalf("no unit %s", name)
	return ""
}

// systemd accepts the units for every setting of a process file.
func TestExport(t *testing.T) {
	tests := []struct {
		name, processes string
		unit            string
		has             []string
		not             []string
		notes           []string
	}{
		{
			name:      "defaults",
			processes: "  p: {command: bin/p}",
			unit:      "pgo-p.service",
			has: []string{"Type=exec", "ExecStart=ROOT/bin/p", "WorkingDirectory=ROOT", "Restart=always", "RestartSec=0.1", "TimeoutStopSec=15", "KillSignal=SIGTERM",
				"KillMode=mixed", "Environment=PGO_HOME=ROOT/.pgo", "Environment=PGO_INSTANCE=0", "ProtectSystem=strict", "ReadWritePaths=-ROOT/.pgo", "WantedBy=pgo.target", "PartOf=pgo.target"},
			not: []string{"User=", "WatchdogSec", "Sockets=", "EnvironmentFile="},
		},
		{
			name:      "notify and watchdog",
			processes: "  p: {command: bin/p, ready: {notify: true, within: 90s}, watchdog: 30s}",
			unit:      "pgo-p.service",
			has:       []string{"Type=notify", "NotifyAccess=all", "TimeoutStartSec=90", "WatchdogSec=30"},
		},
		{
			name:      "listener",
			processes: `  p: {command: bin/p, listeners: {http: "127.0.0.1:18081", admin: {addr: "127.0.0.1:0", shared: false}}}`,
			unit:      "pgo-p-http.socket",
			has:       []string{"ListenStream=127.0.0.1:18081", "FileDescriptorName=http", "Service=pgo-p.service", "WantedBy=sockets.target"},
			notes:     []string{"p: systemd chooses no free port: it binds the listener admin by its own configuration", "p: systemd starts nothing new beside"},
		},
		{
			name:      "instances share a listener",
			processes: `  p: {command: bin/p, instances: 2, listeners: {http: "127.0.0.1:18081"}}`,
			unit:      "pgo-p-1.service",
			has:       []string{"Sockets=pgo-p-http.socket", "Requires=pgo-p-http.socket", "Environment=PGO_INSTANCE=1"},
		},
		{
			name:      "order",
			processes: "  gate: {kind: gate, command: bin/p}\n  web: {command: bin/p, instances: 2, after: [gate]}\n  p: {command: bin/p, after: [gate, web]}",
			unit:      "pgo-p.service",
			has:       []string{"After=network-online.target pgo-gate.service pgo-web-0.service pgo-web-1.service", "Requires=pgo-gate.service", "Wants=network-online.target pgo-web-0.service pgo-web-1.service"},
		},
		{
			name: "restart, stop and limits",
			processes: `  p: {kind: infra, command: bin/p, user: nobody, group: nogroup, restart: {policy: on-failure, final_exit_codes: [65, 78], first_wait: 2s, limit: 5, window: 1m},
    stop: {signal: SIGQUIT, timeout: 1m}, limits: {files: 1000, processes: 50, core: 0, nice: 5, oom_score_adj: 100, no_new_privileges: true}}`,
			unit: "pgo-p.service",
			has: []string{"Restart=on-failure", "RestartPreventExitStatus=65 78", "RestartSec=2", "StartLimitIntervalSec=60", "StartLimitBurst=5", "KillSignal=SIGQUIT", "TimeoutStopSec=60",
				"User=nobody", "Group=nogroup", "LimitNOFILE=1000", "LimitNPROC=50", "LimitCORE=0", "Nice=5", "OOMScoreAdjust=100", "NoNewPrivileges=yes"},
			not: []string{"ProtectSystem"},
		},
		{
			name:      "one-shot",
			processes: "  p: {kind: one-shot, command: bin/p, cron: '0 3 * * *'}",
			unit:      "pgo-p.service",
			has:       []string{"Type=oneshot", "RemainAfterExit=yes", "Restart=on-failure"},
			notes:     []string{"p: its schedule is not exported: write a timer"},
		},
		{
			name:      "arguments that mean something to systemd",
			processes: `  p: {command: bin/p, args: ["100%", "$$HOME", "two words", 'a "quote"', "back\\slash", "", ";"]}`,
			unit:      "pgo-p.service",
			has:       []string{`ExecStart=ROOT/bin/p "100%%" "$$HOME" "two words" "a \"quote\"" "back\\slash" "" ";"`},
		},
		{
			name:      "probes that systemd lacks",
			processes: `  p: {command: bin/p, ready: {tcp: "127.0.0.1:1"}, live: {tcp: "127.0.0.1:1"}}`,
			unit:      "pgo-p.service",
			has:       []string{"Type=exec"},
			notes:     []string{"p: systemd does not ask whether it is ready", "p: systemd does not ask whether it is alive"},
		},
		{
			name: "environment without secrets",
			processes: `  p: {command: bin/p, env: {PLAIN: "a b", DB_PASSWORD_FILE: "${PGO_HOME}/secrets/db", WEB_ADDR: "${FROM_HTTP}", API_TOKEN: hunter2,
    URL: "http://me:hunter2@host/", INDIRECT: "x${HIDDEN}"}}`,
			unit: "pgo-p.service",
			has: []string{`Environment="PLAIN=a b"`, "Environment=DB_PASSWORD_FILE=ROOT/.pgo/secrets/db", "Environment=WEB_ADDR=127.0.0.1:1", "EnvironmentFile=-/etc/pgo/p.env",
				"# May hold secrets, so they are not in a unit, which everybody can read: API_TOKEN, INDIRECT, URL"},
			not:   []string{"hunter2"},
			notes: []string{"p: API_TOKEN, INDIRECT, URL may be secret: put KEY=value into /etc/pgo/p.env"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, o := newCheckout(t, "version: 1\nprocesses:\n"+test.processes+"\n", map[string]string{"FROM_HTTP": "127.0.0.1:1", "HIDDEN": "hunter2"}, "bin/p")
			units, notes, err := Export(f, o)
			if err != nil {
				t.Fatal(err)
			}
			got := contentOf(t, units, test.unit)
			for _, line := range test.has {
				if line = strings.ReplaceAll(line, "ROOT", f.Root); !strings.Contains("\n"+got, "\n"+line+"\n") {
					t.Errorf("no line %q in\n%s", line, got)
				}
			}
			for _, text := range test.not {
				if strings.Contains(got, text) {
					t.Errorf("%q is in\n%s", text, got)
				}
			}
			for _, note := range test.notes {
				if !strings.Contains(strings.Join(notes, "\n"), note) {
					t.Errorf("no note %q in %q", note, notes)
				}
			}
			verifyUnits(t, units)
		})
	}
}

func TestExportNamesEnvFiles(t *testing.T) {
	f, o := newCheckout(t, "version: 1\nenv_file: ${PGO_HOME}/env\nprocesses:\n  p: {command: bin/p, env_files: [\".pgo/env\"], env: {A: \"${FROM_FILE}\"}}\n", nil, "bin/p")
	units, _, err := Export(f, o)
	if err != nil {
		t.Fatal(err)
	}
	got := contentOf(t, units, "pgo-p.service")
	if n := strings.Count(got, "EnvironmentFile="+f.Root+"/.pgo/env\n"); n != 2 || strings.Contains(got, "hunter2") {
		t.Errorf("%d env files in\n%s", n, got)
	}
	verifyUnits(t, units)
}

func TestExportOnlySomeProcesses(t *testing.T) {
	f, o := newCheckout(t, "version: 1\nprocesses:\n  db: {kind: infra, command: bin/p}\n  p: {command: bin/p, after: [db]}\n", nil, "bin/p")
	o.Only, o.User = []string{"p"}, "nobody"
	units, _, err := Export(f, o)
	if err != nil {
		t.Fatal(err)
	}
	got := contentOf(t, units, "pgo-p.service")
	if len(units) != 2 || strings.Contains(got, "db") || !strings.Contains(got, "User=nobody\n") {
		t.Errorf("%d units\n%s", len(units), got)
	}
	verifyUnits(t, units)
	o.Only = []string{"q"}
	if _, _, err := Export(f, o); err == nil || !strings.Contains(err.Error(), `no process "q"`) {
		t.Errorf("an unknown name: %v", err)
	}
}

// systemd accepts the units of the suite's own process file.
func TestExportSuite(t *testing.T) {
	text, err := os.ReadFile("../../../../configs/pgo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for i, found := range regexp.MustCompile(`\$\{([A-Z_]+)\}`).FindAllStringSubmatch(string(text), -1) {
		port := strconv.Itoa(18000 + i)
		if vars[found[1]] = "127.0.0.1:" + port; strings.HasSuffix(found[1], "_PORT") {
			vars[found[1]] = port
		}
	}
	var programs []string
	for _, found := range regexp.MustCompile(`command: (bin/\S+)`).FindAllStringSubmatch(string(text), -1) {
		programs = append(programs, found[1])
	}
	f, o := newCheckout(t, string(text), vars, append(programs, "bin/pgo")...)
	o.Program = filepath.Join(f.Root, "bin", "pgo")
	units, _, err := Export(f, o)
	if err != nil {
		t.Fatal(err)
	}
	recoverUnit, before := contentOf(t, units, RecoverUnit), ""
	for _, line := range strings.Split(recoverUnit, "\n") {
		if services, ok := strings.CutPrefix(line, "Before="); ok {
			before = services + " "
		}
	}
	for _, line := range []string{"ConditionPathExists=" + o.Home + "/state/rollout.json.systemd", "ExecStart=" + o.Program + " host recover --file " + f.Path + " --home " + o.Home} {
		if !strings.Contains(recoverUnit, line+"\n") {
			t.Errorf("no %q in\n%s", line, recoverUnit)
		}
	}
	for _, name := range []string{"user", "school", "task"} {
		if !strings.Contains(before, "pgo-"+name+".service ") {
			t.Errorf("an interrupted deploy is recovered before %q, and not before %s", before, name)
		}
		got := contentOf(t, units, "pgo-"+name+".service")
		for _, line := range []string{"Type=notify", "Sockets=pgo-" + name + "-http.socket", "Environment=PGO_CFG_MYSQL__PASSWORD_FILE=" + o.Home + "/secrets/" + name + "_mysql_password"} {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("no %q in\n%s", line, got)
			}
		}
		contentOf(t, units, "pgo-"+name+"-http.socket")
	}
	verifyUnits(t, units)
}
