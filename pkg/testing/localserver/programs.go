package localserver

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// MissingError reports that a program is not on this machine.
type MissingError struct {
	Program string // what was looked for
	Package string // the Debian and Ubuntu package that has it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed (package %s)", e.Program, e.Package)
}

// Programs looks for servers' programs under Root, "" or "/" outside of tests.
type Programs struct {
	Root string
	Path string // the PATH to search first; the system directories follow it in any case
}

// HostPrograms searches this machine with the process's PATH.
func HostPrograms() Programs { return Programs{Path: os.Getenv("PATH")} }

// MySQL returns mariadbd, or mysqld of MySQL. It may fail with *MissingError, as all of these.
func (p Programs) MySQL() (string, error) {
	return p.findProgram("mariadb-server", "mariadbd", "mysqld")
}

// MySQLInstall returns the script that makes MariaDB's data directory; MySQL does that with mysqld itself.
func (p Programs) MySQLInstall() (string, error) {
	return p.findProgram("mariadb-server", "mariadb-install-db", "mysql_install_db")
}

// Redis returns redis-server, or valkey-server.
func (p Programs) Redis() (string, error) {
	return p.findProgram("redis-server", "redis-server", "valkey-server")
}

// Nginx returns nginx.
func (p Programs) Nginx() (string, error) { return p.findProgram("nginx", "nginx") }

// Chromium returns the browser that browser tests drive.
func (p Programs) Chromium() (string, error) {
	return p.findProgram("chromium", "chromium", "chromium-browser", "google-chrome")
}

// Tools returns what the tests run beside the servers: a C compiler with its headers for the race detector, npm for PM2,
// systemd-analyze, Prometheus, Alertmanager and the exporters, certbot, openssl, an SSH server, its
// client, rsync, nftables, curl, and the time zones.
func (p Programs) Tools() []func() (string, error) {
	return []func() (string, error){
		func() (string, error) { return p.findProgram("gcc", "gcc") },
		p.fileFinder("libc6-dev", "the C library's headers", "/usr/include/stdio.h"),
		func() (string, error) { return p.findProgram("npm", "npm") },
		func() (string, error) { return p.findProgram("systemd", "systemd-analyze") },
		p.Prometheus,
		p.Alertmanager,
		p.exporterFinder("node", "node_exporter"),
		p.exporterFinder("mysqld", "mysqld_exporter"),
		p.exporterFinder("redis", "redis_exporter"),
		p.exporterFinder("nginx", "nginx-prometheus-exporter"),
		func() (string, error) { return p.findProgram("certbot", "certbot") },
		func() (string, error) { return p.findProgram("openssl", "openssl") },
		func() (string, error) { return p.findProgram("openssh-server", "sshd") },
		func() (string, error) { return p.findProgram("openssh-client", "scp") },
		func() (string, error) { return p.findProgram("rsync", "rsync") },
		func() (string, error) { return p.findProgram("nftables", "nft") },
		func() (string, error) { return p.findProgram("curl", "curl") },
		p.fileFinder("tzdata", "the time zones", "/usr/share/zoneinfo/Asia/Shanghai"),
	}
}

// fileFinder returns a function that finds a file, which is part of a package.
func (p Programs) fileFinder(pkg, what, path string) func() (string, error) {
	return func() (string, error) {
		if found := p.findNewest(path); found != "" {
			return found, nil
		}
		return "", &MissingError{Program: what, Package: pkg}
	}
}

// Epmd returns Erlang's port mapper.
func (p Programs) Epmd() (string, error) {
	if path, err := p.findProgram("rabbitmq-server", "epmd"); err == nil {
		return path, nil
	}
	if path := p.findNewest("/usr/lib/erlang/erts-*/bin/epmd"); path != "" {
		return path, nil
	}
	return "", &MissingError{Program: "epmd", Package: "rabbitmq-server"}
}

// RabbitMQ returns the broker's own start script. The one on the PATH of a Debian system is a wrapper that switches
// to the user rabbitmq or refuses; the ones looked for here run as whoever starts them.
func (p Programs) RabbitMQ() (string, error) {
	const script = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if path := p.findFile(script); path != "" {
		return path, nil
	}
	for _, pattern := range []string{
		"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server",
		"/opt/rabbitmq/sbin/rabbitmq-server",
	} {
		if path := p.findNewest(pattern); path != "" {
			return path, nil
		}
	}
	return "", &MissingError{Program: script, Package: "rabbitmq-server"}
}

// Prometheus returns promtool, which comes with Prometheus.
func (p Programs) Prometheus() (string, error) { return p.findProgram("prometheus", "promtool") }

// Alertmanager returns Alertmanager's program.
func (p Programs) Alertmanager() (string, error) {
	return p.findProgram("prometheus-alertmanager", "prometheus-alertmanager", "alertmanager")
}

// exporterFinder looks for an exporter by the name that Debian gives it or by its own.
func (p Programs) exporterFinder(of, own string) func() (string, error) {
	name := "prometheus-" + of + "-exporter"
	return func() (string, error) { return p.findProgram(name, name, own) }
}

// Optional returns the first of names that is there, or "".
func (p Programs) Optional(names ...string) string {
	path, err := p.findProgram("", names...)
	if err != nil {
		return ""
	}
	return path
}

func (p Programs) findProgram(pkg string, names ...string) (string, error) {
	for _, name := range names {
		for _, dir := range filepath.SplitList(searchPath(p.Path)) {
			if path := p.findFile(filepath.Join(dir, name)); path != "" {
				return path, nil
			}
		}
	}
	return "", &MissingError{Program: strings.Join(names, " or "), Package: pkg}
}

// findFile returns path under Root when an executable file is there.
func (p Programs) findFile(path string) string {
	path = filepath.Join("/", p.Root, path)
	if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return ""
	}
	return path
}

func (p Programs) findNewest(pattern string) string {
	found, err := filepath.Glob(filepath.Join("/", p.Root, pattern))
	if err != nil || len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, compareVersions)
}

// compareVersions compares paths with their numbers as numbers: 3.9 comes before 3.12.
func compareVersions(a, b string) int {
	numbers := regexp.MustCompile(`\d+`)
	pad := func(s string) string {
		return numbers.ReplaceAllStringFunc(s, func(n string) string { return fmt.Sprintf("%012s", n) })
	}
	return strings.Compare(pad(a), pad(b))
}

// searchPath adds the directories of system programs, which an ordinary user's PATH lacks on Debian.
func searchPath(path string) string {
	dirs := filepath.SplitList(path)
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		known := false
		for _, d := range dirs {
			known = known || d == dir
		}
		if !known {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}
