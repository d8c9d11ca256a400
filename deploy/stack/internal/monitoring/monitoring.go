// Package monitoring runs Prometheus, Alertmanager and the exporters from the distribution's packages, and Loki, Jaeger, Grafana
// and the OpenTelemetry Collector from the PATH. All are optional: a part that is not installed is left out.
package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/template"
	"pgo/pkg/testing/localserver"
)

// accountName is the exporters' account, which bootcheck creates.
const accountName = "monitor"

// Part is a program of the monitoring.
type Part struct {
	Name     string   // its process
	Programs []string // names of the program in distributions, any of them
	Package  string   // the package with the program; "" for programs of this checkout
	Addr     string   // key of its address in the env file
	Job      string   // Prometheus's job
	args     func(co checkout.Checkout, env map[string]string) []string
	env      func(co checkout.Checkout, env map[string]string) []string
	files    func(co checkout.Checkout, env map[string]string) error
	adapt    func(co checkout.Checkout, command *localserver.Command) error // to the installed program, if it needs that
	needs    []string                                                       // keys of addresses in the env file
}

func noValues(checkout.Checkout, map[string]string) []string { return nil }

// Parts returns all parts.
func Parts() []Part {
	return append([]Part{
		{Name: "prometheus", Programs: []string{"prometheus"}, Package: "prometheus", Addr: "PROMETHEUS_HTTP", Job: "prometheus", args: prometheusArgs, env: noValues, files: prometheusFiles},
		{Name: "alertmanager", Programs: []string{"prometheus-alertmanager", "alertmanager"}, Package: "prometheus-alertmanager", Addr: "ALERTMANAGER_HTTP", Job: "alertmanager", args: alertmanagerArgs, env: alertmanagerEnv, files: alertmanagerFiles},
		{Name: "wecom", Programs: []string{"wecom"}, Addr: "WECOM_HTTP", Job: "wecom", args: noValues, env: wecomEnv},
		{Name: "node-exporter", Programs: []string{"prometheus-node-exporter", "node_exporter"}, Package: "prometheus-node-exporter", Addr: "NODE_EXPORTER", Job: "node", args: nodeArgs, env: noValues},
		{Name: "mysqld-exporter", Programs: []string{"prometheus-mysqld-exporter", "mysqld_exporter"}, Package: "prometheus-mysqld-exporter", Addr: "MYSQLD_EXPORTER", Job: "mysql", args: mysqldArgs, env: noValues, files: mysqldFiles},
		{Name: "redis-exporter", Programs: []string{"prometheus-redis-exporter", "redis_exporter"}, Package: "prometheus-redis-exporter", Addr: "REDIS_EXPORTER", Job: "redis", args: redisArgs, env: noValues, files: redisFiles},
		{Name: "nginx-exporter", Programs: []string{"prometheus-nginx-exporter", "nginx-prometheus-exporter"}, Package: "prometheus-nginx-exporter", Addr: "NGINX_EXPORTER", Job: "gateway", args: nginxArgs, env: noValues},
	}, telemetryParts()...)
}

// InstalledKey returns the key of the env file that tells whether a part is installed: the process file asks for it.
func (p Part) InstalledKey() string {
	return strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")) + "_INSTALLED"
}

// Installed returns the values of the env file that tell which parts are installed.
func Installed(co checkout.Checkout, programs localserver.Programs) map[string]string {
	values := map[string]string{}
	for _, p := range Parts() {
		if p.Package != "" {
			values[p.InstalledKey()] = strconv.FormatBool(p.FindProgram(co, programs) != "")
		}
	}
	return values
}

// ListAbsent returns the program names of the parts that are not installed.
func ListAbsent(co checkout.Checkout, programs localserver.Programs) []string {
	var out []string
	for _, p := range Parts() {
		if p.Package != "" && p.FindProgram(co, programs) == "" {
			out = append(out, p.Programs[0])
		}
	}
	return out
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

// FindProgram returns the path of the part's program, or "" if it is not installed.
func (p Part) FindProgram(co checkout.Checkout, programs localserver.Programs) string {
	if p.Package == "" {
		if _, err := os.Stat(co.ProgramPath(p.Name)); err != nil {
			return ""
		}
		return co.ProgramPath(p.Name)
	}
	return programs.Optional(p.Programs...)
}

// PrepareCommand writes the part's files and returns its command. The command's path is "" if the part is not installed.
func (p Part) PrepareCommand(co checkout.Checkout, env map[string]string, programs localserver.Programs) (localserver.Command, error) {
	path := p.FindProgram(co, programs)
	if path == "" {
		return localserver.Command{}, nil
	}
	for _, key := range p.needs {
		if _, err := checkout.PortOf(env, key); err != nil {
			return localserver.Command{}, fmt.Errorf("%w (run make down first: the part is newer than the running stack)", err)
		}
	}
	data := co.Path("data", p.Name)
	if err := os.MkdirAll(data, 0o700); err != nil {
		return localserver.Command{}, fmt.Errorf("create the directory of %s: %w", p.Name, err)
	}
	if p.files != nil {
		if err := p.files(co, env); err != nil {
			return localserver.Command{}, fmt.Errorf("write the files of %s: %w", p.Name, err)
		}
	}
	command := localserver.Command{
		Path: path, Args: p.args(co, env), Dir: data,
		Env: append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=" + data, "PGO_HOME=" + co.Home}, p.env(co, env)...),
	}
	if p.adapt != nil {
		if err := p.adapt(co, &command); err != nil {
			return localserver.Command{}, err
		}
	}
	return command, nil
}

func prometheusArgs(co checkout.Checkout, env map[string]string) []string {
	return []string{
		"--config.file=" + co.Path("etc", "prometheus.yml"), "--storage.tsdb.path=" + co.Path("data", "prometheus"),
		"--web.listen-address=" + env["PROMETHEUS_HTTP"], "--web.enable-lifecycle", "--enable-feature=exemplar-storage",
		"--storage.tsdb.retention.time=15d", "--storage.tsdb.retention.size=2GB",
	}
}

// target is an entry of Prometheus's file of targets.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// prometheusFiles writes the configuration, with the installed parts as targets.
func prometheusFiles(co checkout.Checkout, env map[string]string) error {
	targets := []target{}
	for _, p := range Parts() {
		if p.FindProgram(co, localserver.HostPrograms()) != "" {
			targets = append(targets, target{[]string{env[p.Addr]}, map[string]string{"job": p.Job}})
		}
	}
	text, err := json.MarshalIndent(targets, "", "  ")
	if err != nil {
		return err
	}
	file := co.Path("etc", "prometheus-targets.json")
	if err := renameio.WriteFile(file, append(text, '\n'), 0o600, renameio.IgnoreUmask()); err != nil {
		return err
	}
	text, err = readTemplate(co, "prometheus", "prometheus.yml")
	if err != nil {
		return err
	}
	settings := alertLinks(co, "http://"+env["GRAFANA_HTTP"])
	links := co.Path("etc", "prometheus-links.yml")
	if err := renameio.WriteFile(links, []byte(linkRules(settings["RUNBOOKS_URL"])), 0o600, renameio.IgnoreUmask()); err != nil {
		return err
	}
	maps.Copy(settings, map[string]string{
		"PROMETHEUS_TARGETS": file,
		"PROMETHEUS_RULES":   strconv.Quote(readSetting("PROMETHEUS_RULES", filepath.Join(co.Root, "deploy", "prometheus", "rules", "*.yml"))) + ", " + strconv.Quote(links),
		"SCRAPE_INTERVAL":    readSetting("SCRAPE_INTERVAL", "15s"),
	})
	return writeConfig(co, env, "prometheus.yml", text, settings)
}

// readSetting returns a variable from the environment of `make up`, or fallback if it is not set.
func readSetting(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

func alertmanagerArgs(co checkout.Checkout, env map[string]string) []string {
	return []string{
		"--config.file=" + co.Path("etc", "alertmanager.yml"), "--storage.path=" + co.Path("data", "alertmanager"),
		"--web.listen-address=" + env["ALERTMANAGER_HTTP"], "--cluster.listen-address=",
	}
}

func alertmanagerEnv(checkout.Checkout, map[string]string) []string { return zoneEnv() }

func alertmanagerFiles(co checkout.Checkout, env map[string]string) error {
	if _, err := AlertZone(readSetting("ALERTS_TZ", "")); err != nil {
		return err
	}
	values := mailSettings(co.Path("secrets", "smtp_password"), co.Path("etc"))
	values["WECOM_HTTP"] = env["WECOM_HTTP"]
	config, mail, err := alertmanagerConfig(co, values)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(co.Path("etc", "mail.tmpl"), []byte(mail), 0o600, renameio.IgnoreUmask()); err != nil {
		return err
	}
	return renameio.WriteFile(co.Path("etc", "alertmanager.yml"), []byte(config), 0o600, renameio.IgnoreUmask())
}

// mailSettings returns the operator's settings, with the paths as Alertmanager sees them.
func mailSettings(passwordFile, etc string) map[string]string {
	values := map[string]string{
		"SMTP_SMARTHOST": "", "SMTP_FROM": "pgo@localhost", "SMTP_TO": "root@localhost", "SMTP_USERNAME": "",
		"SMTP_REQUIRE_TLS": "true", "GROUP_WAIT": "30s", "GROUP_WAIT_CRITICAL": "10s", "GROUP_INTERVAL": "5m", "WATCHDOG_INTERVAL": "1m",
	}
	for name, value := range values {
		values[name] = readSetting(name, value)
	}
	values["SMTP_PASSWORD_FILE"], values["ALERTMANAGER_ETC"] = passwordFile, etc
	return values
}

// alertmanagerConfig returns the configuration and the mail's template. Mail is left out unless SMTP_SMARTHOST is set.
func alertmanagerConfig(co checkout.Checkout, values map[string]string) (config, mail string, err error) {
	letter, err := os.ReadFile(filepath.Join(co.Root, "deploy", "alertmanager", "mail.tmpl"))
	if err != nil {
		return "", "", err
	}
	text, err := readTemplate(co, "alertmanager", "alertmanager.yml")
	if err != nil {
		return "", "", err
	}
	if values["SMTP_SMARTHOST"] == "" {
		text = regexp.MustCompile(`(?ms)^ +# mail$.*?^ +# end$\n`).ReplaceAll(text, nil)
	}
	config, err = template.Fill("alertmanager.yml", string(text), values)
	return config, string(letter), err
}

func wecomEnv(co checkout.Checkout, env map[string]string) []string {
	out := append(zoneEnv(), "WECOM_HTTP="+env["WECOM_HTTP"], "WECOM_KEY_FILE="+co.Path("secrets", "wecom_key"))
	for _, name := range []string{"WECOM_LANG", "WECOM_URL"} {
		if v := os.Getenv(name); v != "" {
			out = append(out, name+"="+v)
		}
	}
	return out
}

func nodeArgs(_ checkout.Checkout, env map[string]string) []string {
	return []string{"--web.listen-address=" + env["NODE_EXPORTER"], "--no-collector.systemd"}
}

func mysqldArgs(co checkout.Checkout, env map[string]string) []string {
	return []string{"--web.listen-address=" + env["MYSQLD_EXPORTER"], "--config.my-cnf=" + co.Path("etc", "mysqld-exporter.cnf"), "--no-collect.slave_status"}
}

func mysqldFiles(co checkout.Checkout, env map[string]string) error {
	port, err := checkout.PortOf(env, "MYSQL_ADDR")
	if err != nil {
		return err
	}
	text, err := mysqlClient(co, "127.0.0.1", port)
	if err != nil {
		return err
	}
	return renameio.WriteFile(co.Path("etc", "mysqld-exporter.cnf"), []byte(text), 0o600, renameio.IgnoreUmask())
}

// mysqlClient returns the content of a MySQL client's option file.
func mysqlClient(co checkout.Checkout, host string, port int) (string, error) {
	password, err := co.ReadSecret("monitor_mysql_password")
	return fmt.Sprintf("[client]\nhost=%s\nport=%d\nuser=%s\npassword=%s\n", host, port, accountName, password), err
}

func redisArgs(co checkout.Checkout, env map[string]string) []string {
	return []string{
		"-web.listen-address=" + env["REDIS_EXPORTER"], "-redis.addr=redis://" + env["REDIS_ADDR"], "-redis.user=" + accountName,
		"-redis.password-file=" + co.Path("etc", "redis-exporter.json"), "-config-command=-", // settings hold passwords
	}
}

func redisFiles(co checkout.Checkout, env map[string]string) error {
	text, err := redisPasswords(co, env["REDIS_ADDR"])
	if err != nil {
		return err
	}
	return renameio.WriteFile(co.Path("etc", "redis-exporter.json"), []byte(text), 0o600, renameio.IgnoreUmask())
}

// redisPasswords returns the exporter's password file. Releases differ in whether its keys contain the account's name.
func redisPasswords(co checkout.Checkout, addr string) (string, error) {
	password, err := co.ReadSecret("monitor_redis_password")
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]string{"redis://" + addr: password, "redis://" + accountName + "@" + addr: password})
	return string(text), err
}

func nginxArgs(_ checkout.Checkout, env map[string]string) []string {
	return []string{"-web.listen-address=" + env["NGINX_EXPORTER"], "-nginx.scrape-uri=http://" + env["GATEWAY_STATUS"] + "/stub_status"}
}

func readTemplate(co checkout.Checkout, dir, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(co.Root, "deploy", dir, name+".template"))
}

// writeConfig fills in a template from the env file's values and more, and writes it to etc in the home.
func writeConfig(co checkout.Checkout, env map[string]string, name string, text []byte, more map[string]string) error {
	values := maps.Clone(env)
	maps.Copy(values, more)
	filled, err := template.Fill(name, string(text), values)
	if err != nil {
		return err
	}
	return renameio.WriteFile(co.Path("etc", name), []byte(filled), 0o600, renameio.IgnoreUmask())
}
