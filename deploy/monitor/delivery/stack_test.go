package delivery_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const repository = "../../.."

// eventually waits until check finds nothing wrong.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond) // between two looks, not for something
	}
}

// freeAddr returns a free address that is the test's until its end: its port is bound, so the kernel gives it
// to no program that asks for any port. A server that sets SO_REUSEADDR, as Go's do, may listen at it.
func freeAddr(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}

// program is a started program; it ends with the test.
type program struct {
	cmd *exec.Cmd
	out *output
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func start(t *testing.T, env []string, path string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(path, args...), out: &output{}}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", path, p.out.b.String())
		}
	})
	return p
}

func (p *program) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// installed finds a program of the distribution's packages.
func installed(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed: apt-get install prometheus prometheus-alertmanager", names[0])
	return ""
}

// exporter stands for everything that is scraped.
type exporter struct {
	*httptest.Server
	mu   sync.Mutex
	text string
}

func newExporter(t *testing.T) *exporter {
	t.Helper()
	e := &exporter{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		fmt.Fprint(w, e.text)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *exporter) export(lines ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text = strings.Join(lines, "\n") + "\n"
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// stack is the whole way from a metric to a person.
type stack struct {
	exporter        *exporter
	prometheus      *program
	wecom           string // the bridge's address
	group, mail     *inbox
	alertmanagerURL string
}

// newStack starts it with the repository's own files. Only the times are shortened.
func newStack(t *testing.T) *stack {
	t.Helper()
	dir := t.TempDir()
	bridge := filepath.Join(dir, "bridge")
	build := exec.Command("go", "build", "-o", bridge, ".")
	build.Dir = filepath.Join(repository, "deploy", "wecom")
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the bridge: %v\n%s", err, out)
	}

	s := &stack{exporter: newExporter(t), wecom: freeAddr(t)}
	s.exporter.export(`pgo_bootcheck_server_up{server="MySQL"} 1`)
	chat, group := robot(t, "the-robot-key-0123456789")
	mail, letters := mailServer(t, "pgo", "the-mail-password")
	s.group, s.mail = group, letters
	start(t, []string{
		"TZ=Asia/Shanghai", "WECOM_HTTP=" + s.wecom, "WECOM_URL=" + chat.URL, "WECOM_PATIENCE=45s", // more than a busy machine keeps the watchdog waiting
		"WECOM_KEY_FILE=" + write(t, filepath.Join(dir, "secrets", "wecom_key"), "the-robot-key-0123456789\n"),
	}, bridge)

	alertmanager := freeAddr(t)
	s.alertmanagerURL = "http://" + alertmanager
	write(t, filepath.Join(dir, "etc", "mail.tmpl"), read(t, "deploy/alertmanager/mail.tmpl"))
	config := fill(t, read(t, "deploy/alertmanager/alertmanager.yml.template"), map[string]string{
		"SMTP_SMARTHOST": mail, "SMTP_FROM": "alerts@pgo.test", "SMTP_TO": "oncall@pgo.test", "SMTP_USERNAME": "pgo", "SMTP_REQUIRE_TLS": "false",
		"SMTP_PASSWORD_FILE": write(t, filepath.Join(dir, "secrets", "smtp_password"), "the-mail-password"),
		"ALERTMANAGER_ETC":   filepath.Join(dir, "etc"), "WECOM_HTTP": s.wecom,
		"GROUP_WAIT": "1s", "GROUP_WAIT_CRITICAL": "1s", "GROUP_INTERVAL": "2s", "WATCHDOG_INTERVAL": "1s",
	})
	start(t, []string{"TZ=Asia/Shanghai"}, installed(t, "prometheus-alertmanager", "alertmanager"),
		"--config.file="+write(t, filepath.Join(dir, "etc", "alertmanager.yml"), config),
		"--storage.path="+filepath.Join(dir, "alertmanager"), "--web.listen-address="+alertmanager, "--cluster.listen-address=")

	for _, file := range []string{"targets", "data", "services", "recording"} {
		rules := regexp.MustCompile(`(?m)^( +for: ).*`).ReplaceAllString(read(t, "deploy/prometheus/rules/"+file+".yml"), "${1}1s")
		write(t, filepath.Join(dir, "rules", file+".yml"), rules)
	}
	prometheus := freeAddr(t)
	s.prometheus = start(t, nil, installed(t, "prometheus"),
		"--config.file="+write(t, filepath.Join(dir, "etc", "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {runbooks: "https://runbooks.test", grafana: "https://grafana.test"}}
rule_files: [%q]
alerting: {alert_relabel_configs: [{action: labeldrop, regex: runbooks|grafana}], alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
  - {job_name: bootcheck, static_configs: [{targets: [%q]}]}
  - {job_name: pgo, static_configs: [{targets: [%q]}]}
`, filepath.Join(dir, "rules", "*.yml"), alertmanager, strings.TrimPrefix(s.exporter.URL, "http://"), strings.TrimPrefix(s.exporter.URL, "http://"))),
		"--storage.tsdb.path="+filepath.Join(dir, "prometheus"), "--web.listen-address="+prometheus)
	eventually(t, "Alertmanager is ready", answers(s.alertmanagerURL+"/-/ready"))
	eventually(t, "Prometheus is ready", answers("http://"+prometheus+"/-/ready"))
	return s
}

func answers(url string) func() error {
	return func() error {
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, resp.Status)
		}
		return nil
	}
}

// fill puts values in the place of ${NAME}; one without a value is an error.
func fill(t *testing.T, text string, values map[string]string) string {
	t.Helper()
	return regexp.MustCompile(`\$\{[A-Z_]+\}`).ReplaceAllStringFunc(text, func(name string) string {
		value, ok := values[strings.Trim(name, "${}")]
		if !ok {
			t.Fatalf("the template wants %s", name)
		}
		return value
	})
}
