package monitoring

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/stack/internal/checkout"
	"pgo/pkg/testing/localserver"
	"pgo/pkg/testing/testkit"
)

const asGrafanaVariable = "PGO_TEST_AS_GRAFANA"

// The test binary runs as a stand-in of Grafana.
func TestMain(m *testing.M) {
	if os.Getenv(asGrafanaVariable) != "" {
		if err := runGrafana(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runGrafana does what Grafana 12 does with the administrator's password: it keeps it in its database, which it fills from the
// configuration only when it creates it. It expands $__file{} and knows no variable that ends in __FILE.
func runGrafana(args []string) error {
	database := filepath.Join(os.Getenv("GF_PATHS_DATA"), "grafana.db")
	if args[0] == "cli" {
		if !slices.Contains(args, "reset-admin-password") || !slices.Contains(args, "--password-from-stdin") {
			return fmt.Errorf("unknown command %q", args)
		}
		password, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil && password == "" {
			return err
		}
		return os.WriteFile(database, []byte(strings.TrimSpace(password)), 0o600)
	}
	if _, err := os.Stat(database); errors.Is(err, fs.ErrNotExist) {
		password := "admin"
		if configured := os.Getenv("GF_SECURITY_ADMIN_PASSWORD"); configured != "" {
			password = configured
		}
		if file := regexp.MustCompile(`^\$__file\{(.+)\}$`).FindStringSubmatch(password); file != nil {
			text, err := os.ReadFile(file[1])
			if err != nil {
				return err
			}
			password = strings.TrimSpace(string(text))
		}
		if err := os.WriteFile(database, []byte(password), 0o600); err != nil {
			return err
		}
	}
	password, err := os.ReadFile(database)
	if err != nil {
		return err
	}
	return serveSignIn(net.JoinHostPort(os.Getenv("GF_SERVER_HTTP_ADDR"), os.Getenv("GF_SERVER_HTTP_PORT")), string(password))
}

// serveSignIn answers /api/health to everyone and /api/user to the administrator until SIGTERM.
func serveSignIn(addr, password string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("/api/health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/api/user", func(w http.ResponseWriter, r *http.Request) {
		if _, got, _ := r.BasicAuth(); got != password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"login": "admin"})
	})
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: time.Second}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// grafanaMachine returns a machine with Grafana: the installed one if there is one on the PATH, else the stand-in.
func grafanaMachine(t *testing.T, name string) localserver.Programs {
	t.Helper()
	if host := localserver.HostPrograms(); host.Optional(name) != "" {
		return host
	}
	m := machine(t, name, "grafana")
	for _, program := range []string{name, "grafana"} {
		script := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s \"$@\"\n", asGrafanaVariable, os.Args[0])
		if err := os.WriteFile(filepath.Join(m.Root, "usr", "bin", program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// startGrafanaPart starts Grafana as `make up` does and waits until it answers.
func startGrafanaPart(t *testing.T, co checkout.Checkout, env map[string]string, m localserver.Programs) (stop func()) {
	t.Helper()
	part, _ := Find("grafana")
	command, err := part.PrepareCommand(co, env, m)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command.Path, command.Args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = command.Dir, command.Env, t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	}
	for {
		if res, err := http.Get("http://" + env["GRAFANA_HTTP"] + "/api/health"); err == nil {
			res.Body.Close()
			return stop
		}
		select {
		case err := <-ended:
			t.Fatalf("Grafana has ended: %v", err)
		case <-time.After(20 * time.Millisecond): // between two looks
		}
	}
}

// signIn returns the status of a sign-in.
func signIn(t *testing.T, addr, password string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/api/user", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// The documented password signs in and admin does not, whatever password the database was created with.
func TestGrafanaTakesTheDocumentedPasswordAlone(t *testing.T) {
	for _, name := range []string{"grafana", "grafana-server"} {
		t.Run(name, func(t *testing.T) {
			co, env := state(t)
			addr := testkit.ReserveAddr(t)
			env["GRAFANA_HTTP"] = addr
			m := grafanaMachine(t, name)
			secret := func(password string) {
				t.Helper()
				if err := os.WriteFile(co.Path("secrets", "grafana_password"), []byte(password+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			assertSignsIn := func(when, password string, refused ...string) {
				t.Helper()
				defer startGrafanaPart(t, co, env, m)()
				if got := signIn(t, addr, password); got != http.StatusOK {
					t.Errorf("%s: the documented password answers %d", when, got)
				}
				for _, other := range append(refused, "admin") {
					if got := signIn(t, addr, other); got != http.StatusUnauthorized {
						t.Errorf("%s: the password %s answers %d", when, other, got)
					}
				}
			}
			secret("first-password")
			assertSignsIn("a new database", "first-password")
			assertSignsIn("a second start", "first-password")
			secret("second-password")
			assertSignsIn("a new secret", "second-password", "first-password")
			// A database from before the record of the password.
			if err := os.Remove(filepath.Join(co.Path("data", "grafana"), "admin_password.sha256")); err != nil {
				t.Fatal(err)
			}
			secret("third-password")
			assertSignsIn("a database without a record", "third-password", "second-password")
		})
	}
}

// Grafana does not start while its database may have another password than the documented one.
func TestGrafanaRefusesToStartWithAnUnknownPassword(t *testing.T) {
	co, env := state(t)
	m := machine(t, "grafana") // it fails at every command
	if err := os.WriteFile(filepath.Join(m.Root, "usr", "bin", "grafana"), []byte("#!/bin/sh\nif [ \"$1\" = server ]; then echo started; else exit 1; fi\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(co.Path("secrets", "grafana_password"), []byte("the-password"), 0o600); err != nil {
		t.Fatal(err)
	}
	part, _ := Find("grafana")
	command, err := part.PrepareCommand(co, env, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(co.Path("data", "grafana"), "grafana.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command.Path, command.Args...)
	cmd.Dir, cmd.Env = command.Dir, command.Env
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 78 || strings.Contains(string(out), "started") || !strings.Contains(string(out), "could not be set from "+co.Path("secrets", "grafana_password")) {
		t.Errorf("%v: %s", err, out)
	}
}

// Only the entrypoints of images expand variables that end in __FILE.
func TestNoPartDependsOnAnEntrypoint(t *testing.T) {
	co, env := state(t)
	for _, p := range Parts() {
		for _, variable := range p.env(co, env) {
			if name, _, _ := strings.Cut(variable, "="); strings.HasSuffix(name, "__FILE") {
				t.Errorf("%s gets %s, which its program does not know", p.Name, name)
			}
		}
	}
}

func TestGrafanaCommand(t *testing.T) {
	co, env := state(t)
	part, _ := Find("grafana")
	for _, program := range part.Programs {
		m := machine(t, program)
		command, err := part.PrepareCommand(co, env, m)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := slices.Contains(command.Args, "server"), program == "grafana"; got != want {
			t.Errorf("%s runs with %v", program, command.Args)
		}
		if !slices.Contains(command.Args, "--homepath="+filepath.Join(m.Root, "usr")) {
			t.Errorf("%s does not get the path of its files: %v", program, command.Args)
		}
		for _, want := range []string{"GF_SERVER_HTTP_ADDR=127.0.0.1", "GF_SERVER_HTTP_PORT=9", "LOKI_URL=http://127.0.0.1:9"} {
			if !slices.Contains(command.Env, want) {
				t.Errorf("no %s in %v", want, command.Env)
			}
		}
		if err := os.RemoveAll(filepath.Join(m.Root, "usr", "conf")); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat("/usr/share/grafana/conf/defaults.ini"); err == nil {
			continue // this machine has Grafana
		}
		if _, err := part.PrepareCommand(co, env, m); err == nil || !strings.Contains(err.Error(), "conf/defaults.ini") {
			t.Errorf("without its files: %v", err)
		}
	}
}

// Grafana reads every directory below its provisioning directory and logs an error for a missing one.
func TestProvisioningDirectories(t *testing.T) {
	for _, dir := range []string{"datasources", "dashboards", "plugins", "alerting"} {
		if info, err := os.Stat(filepath.Join("../../../grafana/provisioning", dir)); err != nil || !info.IsDir() {
			t.Errorf("provisioning/%s: %v", dir, err)
		}
	}
}
