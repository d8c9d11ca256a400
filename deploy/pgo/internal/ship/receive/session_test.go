package receive

import (
	"errors"
	"io"
	"os"
	"strconv"
	"testing"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/ship/wire"
)

func getenvOf(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestCheckCommand(t *testing.T) {
	tests := []struct {
		command string
		allowed bool
	}{
		{"", true}, // the key runs pgo receive without asking
		{"pgo receive", true},
		{"/srv/pgo/bin/pgo receive", true},
		{"pgo receive --systemd", true},
		{"pgo receive --home /srv/pgo/.pgo --file=/srv/pgo/configs/pgo.yaml --systemd", true},
		{"pgo receive --as root", false},
		{"pgo receive --systemctl /bin/sh", false},
		{"pgo receive; sh", false},
		{"pgo receive --home $(id)", false},
		{"pgo receive\nsh", false},
		{"sh -c 'pgo receive'", false},
		{"pgo list", false},
		{"scp -t /tmp", false},
	}
	for _, test := range tests {
		t.Run(test.command, func(t *testing.T) {
			err := Options{Getenv: getenvOf(map[string]string{"SSH_ORIGINAL_COMMAND": test.command})}.checkCommand()
			if test.allowed && err != nil || !test.allowed && !errors.Is(err, ErrWrongCommand) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	tests := []struct {
		name string
		as   string
		env  map[string]string
		want string
	}{
		{"the forced command names it", "ci", map[string]string{"USER": "pgo", "LOGNAME": "pgo"}, "ci"},
		{"the user", "", map[string]string{"USER": "ann", "LOGNAME": "bob"}, "ann"},
		{"the login name", "", map[string]string{"LOGNAME": "bob"}, "bob"},
		{"none", "", nil, "uid " + strconv.Itoa(os.Getuid())},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &session{Options: Options{As: test.as, Getenv: getenvOf(test.env)}}
			if got := s.identity(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// runSession runs a session in which the client sends a hello, and returns the host's only report.
func runSession(t *testing.T, h home.Home, hello wire.Hello) (wire.Report, error) {
	t.Helper()
	fromClient, toHost := io.Pipe()
	fromHost, toClient := io.Pipe()
	defer func() { _ = errors.Join(toHost.Close(), toClient.Close()) }()
	client, _ := wire.Open(t.Context(), fromHost, toHost)
	ended := make(chan error, 1)
	go func() {
		ended <- Run(t.Context(), Options{
			Home: h, Version: "1.2", As: "ci", Stdin: fromClient, Stdout: toClient,
			Getenv: getenvOf(map[string]string{"SSH_CONNECTION": "10.0.0.1 4711 10.0.0.2 22"}),
		})
		_ = toClient.Close()
	}()
	if err := client.Send(hello); err != nil {
		t.Fatal(err)
	}
	var report wire.Report
	receiveErr := client.Receive(&report)
	err := <-ended
	if receiveErr != nil && err == nil {
		t.Error(receiveErr)
	}
	return report, err
}

func TestRunRejectsHello(t *testing.T) {
	tests := []struct {
		name      string
		hello     wire.Hello
		isWelcome bool // the client gets the version of the host
	}{
		{"another protocol", wire.Hello{Protocol: wire.Protocol + 1, Operation: wire.OpReleases, ID: "20260102-abcd"}, true},
		{"no ID", wire.Hello{Protocol: wire.Protocol, Operation: wire.OpReleases}, true},
		{"an ID that is a path", wire.Hello{Protocol: wire.Protocol, Operation: wire.OpReleases, ID: "../../../etc"}, true},
		{"an unknown operation", wire.Hello{Protocol: wire.Protocol, Operation: "shell", ID: "20260102-abcd"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report, err := runSession(t, newHome(t), test.hello)
			if !errors.Is(err, wire.ErrProtocol) {
				t.Errorf("the error is %v", err)
			}
			if test.isWelcome != (report.Welcome != nil) || test.isWelcome && (report.Welcome.Version != "1.2" || report.Welcome.Protocol != wire.Protocol) {
				t.Errorf("the report is %+v", report)
			}
		})
	}
}

// Without a manager a deploy is refused, which the client and the audit log are told.
func TestRunWithoutManager(t *testing.T) {
	tests := []struct {
		name        string
		claims      string
		wantClaims  string
		hasHome     bool
		wantEntries int
	}{
		{"a home without a manager", "Ann", "Ann", true, 1},
		{"a name that is not one", "Ann\nroot", "", true, 1},
		{"no home", "Ann", "Ann", false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := home.Home(t.TempDir() + "/none")
			if test.hasHome {
				h = newHome(t)
			}
			report, err := runSession(t, h, wire.Hello{Protocol: wire.Protocol, Operation: wire.OpDeploy, ID: "20260102-abcd", Claims: test.claims})
			if err != nil {
				t.Fatal(err)
			}
			e := report.Result
			if report.Step != "unavailable" || e == nil || e.Result != audit.Refused || e.User != "ci" || e.Addr != "10.0.0.1" || e.ClaimedUser != test.wantClaims {
				t.Errorf("the report is %+v, its result %+v", report, e)
			}
			entries, err := h.AuditLog().List()
			if err != nil || len(entries) != test.wantEntries {
				t.Errorf("the audit log has %+v, %v", entries, err)
			}
		})
	}
}

func TestRunQueries(t *testing.T) {
	h := newHome(t)
	for n := range maxDeploys + 5 {
		if err := h.AuditLog().Append(audit.Entry{ID: "2026010" + strconv.Itoa(n), Result: audit.Done}); err != nil {
			t.Fatal(err)
		}
	}
	report, err := runSession(t, h, wire.Hello{Protocol: wire.Protocol, Operation: wire.OpReleases, ID: "20260102-abcd"})
	if err != nil || report.Welcome == nil || len(report.Welcome.Deploys) != maxDeploys || report.Welcome.Deploys[0].ID != "202601024" {
		t.Errorf("releases: %+v, %v", report.Welcome, err)
	}
	for id, want := range map[string]int{"20260103": 1, "20260102-abcd": 0} {
		report, err := runSession(t, h, wire.Hello{Protocol: wire.Protocol, Operation: wire.OpOutcome, ID: id})
		if err != nil || report.Welcome == nil || len(report.Welcome.Deploys) != want || want > 0 && report.Welcome.Deploys[0].ID != id {
			t.Errorf("outcome of %s: %+v, %v", id, report.Welcome, err)
		}
	}
}
