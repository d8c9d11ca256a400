// Package monitoring runs Prometheus, Alertmanager and the exporters where the distribution's packages have them. None is needed:
// what is not installed says so and waits.
package monitoring

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"

	"pgo/deploy/native/internal/home"
	"pgo/pkg/localserver"
)

// Part is one program of the monitoring.
type Part struct {
	Name     string   // of its process
	Programs []string // any of these, as distributions name it
	Package  string   // that has it, on Debian; "" for ours
	Addr     string   // the env file's key of its address
	Job      string   // under which Prometheus scrapes it
	args     func(h home.Home, env map[string]string) []string
	env      func(h home.Home, env map[string]string) []string
	files    func(h home.Home, env map[string]string) error
}

// Parts are all of them.
func Parts() []Part {
	none := func(home.Home, map[string]string) []string { return nil }
	return []Part{
		{Name: "prometheus", Programs: []string{"prometheus"}, Package: "prometheus", Addr: "PROMETHEUS_HTTP", Job: "prometheus", args: prometheusArgs, env: none, files: prometheusFiles},
		{Name: "alertmanager", Programs: []string{"prometheus-alertmanager", "alertmanager"}, Package: "prometheus-alertmanager", Addr: "ALERTMANAGER_HTTP", Job: "alertmanager", args: alertmanagerArgs, env: none, files: alertmanagerFiles},
		{Name: "wecom", Programs: []string{"wecom"}, Addr: "WECOM_HTTP", Job: "wecom", args: none, env: wecomEnv},
		{Name: "node-exporter", Programs: []string{"prometheus-node-exporter", "node_exporter"}, Package: "prometheus-node-exporter", Addr: "NODE_EXPORTER", Job: "node", args: nodeArgs, env: none},
		{Name: "mysqld-exporter", Programs: []string{"prometheus-mysqld-exporter", "mysqld_exporter"}, Package: "prometheus-mysqld-exporter", Addr: "MYSQLD_EXPORTER", Job: "mysql", args: mysqldArgs, env: none, files: mysqldFiles},
		{Name: "redis-exporter", Programs: []string{"prometheus-redis-exporter", "redis_exporter"}, Package: "prometheus-redis-exporter", Addr: "REDIS_EXPORTER", Job: "redis", args: redisArgs, env: none, files: redisFiles},
		{Name: "nginx-exporter", Programs: []string{"prometheus-nginx-exporter", "nginx-prometheus-exporter"}, Package: "prometheus-nginx-exporter", Addr: "NGINX_EXPORTER", Job: "gateway", args: nginxArgs, env: none},
	}
}

// Find returns the part of that name.
func Find(name string) (Part, bool) {
	for _, p := range Parts() {
		if p.Name == name {
			return p, true
		}
	}
	return Part{}, false
}

// Program is the file of the part's program, "" where it is not installed.
func (p Part) Program(h home.Home, programs localserver.Programs) string {
	if p.Package == "" {
		if _, err := os.Stat(h.Bin(p.Name)); err != nil {
			return ""
		}
		return h.Bin(p.Name)
	}
	return programs.Optional(p.Programs...)
}

// Command writes the part's files and is what runs it. A path of "" means that it is not installed.
func (p Part) Command(h home.Home, env map[string]string, programs localserver.Programs) (localserver.Command, error) {
	path := p.Program(h, programs)
	if path == "" {
		return localserver.Command{}, nil
	}
	data := h.Path("data", p.Name)
	if err := os.MkdirAll(data, 0o700); err != nil {
		return localserver.Command{}, fmt.Errorf("make the folder of %s: %w", p.Name, err)
	}
	if p.files != nil {
		if err := p.files(h, env); err != nil {
			return localserver.Command{}, fmt.Errorf("write the files of %s: %w", p.Name, err)
		}
	}
	return localserver.Command{
		Path: path, Args: p.args(h, env), Dir: data,
		Env: append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=" + data, "PGO_HOME=" + h.Dir}, p.env(h, env)...),
	}, nil
}

func prometheusArgs(h home.Home, env map[string]string) []string {
	return []string{
		"--config.file=" + h.Path("etc", "prometheus.yml"), "--storage.tsdb.path=" + h.Path("data", "prometheus"),
		"--web.listen-address=" + env["PROMETHEUS_HTTP"], "--web.enable-lifecycle", "--enable-feature=exemplar-storage",
		"--storage.tsdb.retention.time=15d", "--storage.tsdb.retention.size=2GB",
	}
}

// prometheusFiles writes the configuration, and as targets those of the others that are installed.
func prometheusFiles(h home.Home, env map[string]string) error {
	type target struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	targets := []target{}
	for _, p := range Parts() {
		if p.Program(h, localserver.Host()) != "" {
			targets = append(targets, target{[]string{env[p.Addr]}, map[string]string{"job": p.Job}})
		}
	}
	text, err := json.MarshalIndent(targets, "", "  ")
	if err != nil {
		return err
	}
	file := h.Path("etc", "prometheus-targets.json")
	if err := renameio.WriteFile(file, append(text, '\n'), 0o600, renameio.IgnoreUmask()); err != nil {
		return err
	}
	text, err = template(h, "prometheus", "prometheus.yml")
	if err != nil {
		return err
	}
	return render(h, env, "prometheus.yml", text, map[string]string{
		"PROMETHEUS_TARGETS": file,
		"PROMETHEUS_RULES":   strconv.Quote(filepath.Join(h.Root, "deploy", "prometheus", "rules", "*.yml")),
		"RUNBOOKS_URL":       "file://" + filepath.Join(h.Root, "docs", "runbooks"),
	})
}

func alertmanagerArgs(h home.Home, env map[string]string) []string {
	return []string{
		"--config.file=" + h.Path("etc", "alertmanager.yml"), "--storage.path=" + h.Path("data", "alertmanager"),
		"--web.listen-address=" + env["ALERTMANAGER_HTTP"], "--cluster.listen-address=",
	}
}

// alertmanagerFiles leaves mail out unless SMTP_SMARTHOST says where to.
func alertmanagerFiles(h home.Home, env map[string]string) error {
	values := map[string]string{
		"SMTP_SMARTHOST": "", "SMTP_FROM": "pgo@localhost", "SMTP_TO": "root@localhost", "SMTP_USERNAME": "",
		"SMTP_REQUIRE_TLS": "true", "SMTP_PASSWORD_FILE": h.Path("secrets", "smtp_password"), "ALERTMANAGER_ETC": h.Path("etc"),
		"GROUP_WAIT": "30s", "GROUP_WAIT_CRITICAL": "10s", "GROUP_INTERVAL": "5m", "WATCHDOG_INTERVAL": "1m",
	}
	for name := range values {
		if v := os.Getenv(name); v != "" {
			values[name] = v
		}
	}
	text, err := os.ReadFile(filepath.Join(h.Root, "deploy", "alertmanager", "mail.tmpl"))
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(h.Path("etc", "mail.tmpl"), text, 0o600, renameio.IgnoreUmask()); err != nil {
		return err
	}
	if text, err = template(h, "alertmanager", "alertmanager.yml"); err != nil {
		return err
	}
	if values["SMTP_SMARTHOST"] == "" {
		text = regexp.MustCompile(`(?ms)^ +# mail$.*?^ +# end$\n`).ReplaceAll(text, nil)
	}
	return render(h, env, "alertmanager.yml", text, values)
}

func wecomEnv(h home.Home, env map[string]string) []string {
	out := []string{"WECOM_HTTP=" + env["WECOM_HTTP"], "WECOM_KEY_FILE=" + h.Path("secrets", "wecom_key")}
	for _, name := range []string{"WECOM_LANG", "WECOM_URL"} {
		if v := os.Getenv(name); v != "" {
			out = append(out, name+"="+v)
		}
	}
	return out
}

func nodeArgs(_ home.Home, env map[string]string) []string {
	return []string{"--web.listen-address=" + env["NODE_EXPORTER"], "--no-collector.systemd"}
}

func mysqldArgs(h home.Home, env map[string]string) []string {
	return []string{"--web.listen-address=" + env["MYSQLD_EXPORTER"], "--config.my-cnf=" + h.Path("etc", "mysqld-exporter.cnf")}
}

func mysqldFiles(h home.Home, env map[string]string) error {
	password, err := h.Secret("mysql_admin_password")
	if err != nil {
		return err
	}
	port, err := home.Port(env, "MYSQL_ADDR")
	if err != nil {
		return err
	}
	text := fmt.Sprintf("[client]\nhost=127.0.0.1\nport=%d\nuser=%s\npassword=%s\n", port, localserver.AdminUser, password)
	return renameio.WriteFile(h.Path("etc", "mysqld-exporter.cnf"), []byte(text), 0o600, renameio.IgnoreUmask())
}

func redisArgs(h home.Home, env map[string]string) []string {
	return []string{
		"-web.listen-address=" + env["REDIS_EXPORTER"], "-redis.addr=redis://" + env["REDIS_ADDR"], "-redis.user=" + localserver.AdminUser,
		"-redis.password-file=" + h.Path("etc", "redis-exporter.json"),
	}
}

func redisFiles(h home.Home, env map[string]string) error {
	password, err := h.Secret("redis_admin_password")
	if err != nil {
		return err
	}
	// Releases differ in whether the key has the account's name.
	text, err := json.Marshal(map[string]string{
		"redis://" + env["REDIS_ADDR"]: password, "redis://" + localserver.AdminUser + "@" + env["REDIS_ADDR"]: password,
	})
	if err != nil {
		return err
	}
	return renameio.WriteFile(h.Path("etc", "redis-exporter.json"), text, 0o600, renameio.IgnoreUmask())
}

func nginxArgs(_ home.Home, env map[string]string) []string {
	return []string{"-web.listen-address=" + env["NGINX_EXPORTER"], "-nginx.scrape-uri=http://" + env["GATEWAY_STATUS"] + "/stub_status"}
}

func template(h home.Home, dir, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(h.Root, "deploy", dir, name+".template"))
}

// render fills in a template from the env file's values and more, and writes it to the state folder's etc.
func render(h home.Home, env map[string]string, name string, text []byte, more map[string]string) error {
	var unknown []string
	filled := regexp.MustCompile(`\$\{[A-Z_]+\}`).ReplaceAllStringFunc(string(text), func(ref string) string {
		key := strings.Trim(ref, "${}")
		if value, ok := more[key]; ok {
			return value
		}
		if value, ok := env[key]; ok {
			return value
		}
		unknown = append(unknown, ref)
		return ""
	})
	if len(unknown) > 0 {
		return fmt.Errorf("%s: nothing is known for %s", name, strings.Join(unknown, ", "))
	}
	return renameio.WriteFile(h.Path("etc", name), []byte(filled), 0o600, renameio.IgnoreUmask())
}
