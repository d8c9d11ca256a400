// Package gateway writes nginx's configuration from the templates in deploy/nginx, for every mode.
package gateway

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/template"
	"pgo/pkg/testing/localserver"
)

// Options holds the values that differ between modes. All paths except Root and Out are paths as nginx sees them.
type Options struct {
	Root string // the checkout with the templates
	Out  string // directory that the files are written to
	Etc  string // directory that nginx reads the files from
	Data string // nginx's working directory
	HTML string // directory of the start page
	ACME string // directory of ACME challenges
	User string // user of the workers, if nginx starts as root

	HTTP      string // the address to listen on
	Status    string // the address of nginx's counters, for the exporter
	TLS       TLS
	Upstreams map[string]Upstream // by their names in the template
	Resolver  string              // a name server, if upstreams have names whose addresses change
	Limits    Limits
	HTTPS     string // OptionalHTTPS or RedirectToHTTPS; "" is OptionalHTTPS
	CORS      CORS
	Files     uint64   // the most files that one of nginx's workers may open; 0: no limit but nginx's own
	RealIP    []string // networks of load balancers in front, whose X-Forwarded-For is trusted
	Extra     string   // additional locations
	Version   int      // nginx's, such as 1_022_001 for 1.22.1; newer directives are left out
}

// TLS configures HTTPS. Without a certificate there is no HTTPS.
type TLS struct {
	Addr             string
	Port             int // under which clients reach it; 0: that of Addr
	Certificate, Key string
}

// Limits bounds the requests and connections of one client address.
type Limits struct {
	Rate        string `yaml:"rate"` // in nginx's notation: 1000r/s
	Burst       int    `yaml:"burst"`
	Connections int    `yaml:"connections"`
	Body        string `yaml:"body"` // the largest body, in nginx's notation: 2m
}

// DefaultLimits returns limits far above a person's or a fair program's needs, and below the services' capacity.
func DefaultLimits() Limits {
	return Limits{Rate: "1000r/s", Burst: 1000, Connections: 512, Body: "2m"}
}

// The capacity of one of nginx's two workers. A connection to a service takes a second file.
const (
	maxWorkerFiles       = 65_536
	maxWorkerConnections = 32_768
	minWorkerFiles       = 256
	spareFiles           = 64 // for logs, listeners and bodies on disk
)

// workerFiles returns the number of files that a worker may open.
func (o Options) workerFiles() uint64 {
	if o.Files == 0 {
		return maxWorkerFiles
	}
	return max(minWorkerFiles, min(maxWorkerFiles, o.Files))
}

// The nginx versions that introduced directives.
const (
	versionHTTP2Directive = 1_025_001 // http2 as a directive; before, it was a parameter of listen
	versionKeepaliveMin   = 1_027_004 // keepalive_min_timeout
	NewestVersion         = math.MaxInt
)

func templateNames() []string {
	return []string{"nginx.conf", "gateway.conf", "problem.conf", "tls.conf"}
}

// WriteConfig writes nginx's files.
func WriteConfig(o Options) error {
	values, err := o.templateValues()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Out, 0o700); err != nil {
		return fmt.Errorf("create the directory of nginx's configuration: %w", err)
	}
	for _, name := range templateNames() {
		path := filepath.Join(o.Out, name)
		if name == "tls.conf" && o.TLS.Certificate == "" {
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("turn HTTPS off: %w", err)
			}
			continue
		}
		text, err := os.ReadFile(filepath.Join(o.Root, "deploy", "nginx", name+".template"))
		if err != nil {
			return fmt.Errorf("read nginx's template: %w", err)
		}
		filled, err := template.Fill(name+".template", string(text), values)
		if err != nil {
			return err
		}
		if err := renameio.WriteFile(path, []byte(filled), 0o600, renameio.IgnoreUmask()); err != nil {
			return fmt.Errorf("write nginx's configuration: %w", err)
		}
	}
	return nil
}

func (o Options) templateValues() (map[string]string, error) {
	values := map[string]string{
		"NGINX_DATA": o.Data, "NGINX_ETC": o.Etc, "NGINX_HTML": o.HTML, "NGINX_ACME": o.ACME,
		"TLS_CERTIFICATE": o.TLS.Certificate, "TLS_KEY": o.TLS.Key,
	}
	for key, path := range values {
		if strings.ContainsAny(path, "\"\\$\n;{}") {
			return nil, fmt.Errorf("%s: nginx does not accept this path: %q", key, path)
		}
	}
	values["NGINX_USER"] = directiveIf(o.User != "", "user "+o.User)
	values["GATEWAY_HTTP"], values["GATEWAY_STATUS"], values["GATEWAY_HTTPS"] = o.HTTP, o.Status, o.TLS.Addr
	values["RESOLVER"] = directiveIf(o.Resolver != "", "resolver "+o.Resolver+" valid=2s ipv6=off")
	values["RATE"], values["BURST"], values["CONNECTIONS"] = o.Limits.Rate, strconv.Itoa(o.Limits.Burst), strconv.Itoa(o.Limits.Connections)
	values["BODY"] = o.Limits.Body
	files := o.workerFiles()
	values["WORKER_FILES"], values["WORKER_CONNECTIONS"] = strconv.FormatUint(files, 10), strconv.FormatUint(min(maxWorkerConnections, files-spareFiles), 10)
	maps.Copy(values, o.CORS.templateValues())
	if err := o.addHTTPSValues(values); err != nil {
		return nil, err
	}
	values["TLS"] = directiveIf(o.TLS.Certificate != "", `include "`+o.Etc+`/tls.conf"`)
	values["HTTP2"] = directiveIf(o.Version >= versionHTTP2Directive, "http2 on")
	values["HTTP2_LISTEN"] = ""
	if o.Version < versionHTTP2Directive {
		values["HTTP2_LISTEN"] = " http2"
	}
	values["KEEPALIVE_MIN"] = directiveIf(o.Version >= versionKeepaliveMin, "keepalive_min_timeout 5s")
	values["EXTRA"] = o.Extra
	values["REAL_IP"] = ""
	if len(o.RealIP) > 0 {
		values["REAL_IP"] = "real_ip_header X-Forwarded-For;\nreal_ip_recursive on;"
		for _, network := range o.RealIP {
			values["REAL_IP"] += "\nset_real_ip_from " + network + ";"
		}
	}
	for _, key := range []string{"GATEWAY_HTTP", "GATEWAY_STATUS", "RATE", "BODY"} {
		if values[key] == "" {
			return nil, fmt.Errorf("write nginx's configuration: no value for %s", key)
		}
	}
	for name, upstream := range o.Upstreams {
		servers, err := upstream.serverLines()
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", name, err)
		}
		values[strings.ToUpper(name)+"_SERVERS"] = servers
	}
	return values, nil
}

func directiveIf(wanted bool, directive string) string {
	if !wanted {
		return ""
	}
	return directive + ";"
}

// WriteNativeConfig writes the configuration of native mode.
func WriteNativeConfig(co checkout.Checkout, env map[string]string) error {
	o := Options{
		Root: co.Root, Out: co.Path("etc"), Etc: co.Path("etc"), Data: co.Path("data", "nginx"),
		HTML: filepath.Join(co.Root, "deploy", "nginx", "html"), ACME: co.Path("certs", "acme"),
		HTTP: env["GATEWAY_HTTP"], Status: env["GATEWAY_STATUS"], Upstreams: map[string]Upstream{},
	}
	if os.Geteuid() == 0 {
		o.User = "root" // the workers must read the checkout, which may be readable by root alone
	}
	addresses := map[string]string{"bootcheck": "BOOTCHECK_HTTP"}
	for _, s := range checkout.Services() {
		addresses[s.Name] = s.AddressKey()
	}
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		key := addresses[name]
		if env[key] == "" {
			return fmt.Errorf("write nginx's configuration: no address for %s", key)
		}
		o.Upstreams[name] = Upstream{Servers: []string{env[key]}}
	}
	if err := ApplySettings(co, &o); err != nil {
		return err
	}
	if certificate := co.Path("certs", "gateway.crt"); checkout.IsFile(certificate) && env["GATEWAY_HTTPS"] != "" {
		o.TLS = TLS{Addr: env["GATEWAY_HTTPS"], Certificate: certificate, Key: co.Path("certs", "gateway.key")}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	o.Files = limit.Max
	if program, err := localserver.HostPrograms().Nginx(); err == nil {
		o.Version = nginxVersion(context.Background(), program)
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return fmt.Errorf("create nginx's directory: %w", err)
	}
	return WriteConfig(o)
}

// DigestConfig returns a hash of all files that native mode's gateway reads, or "" if there are none yet.
func DigestConfig(co checkout.Checkout) (string, error) {
	var files []string
	for _, name := range templateNames() {
		if path := co.Path("etc", name); checkout.IsFile(path) {
			files = append(files, path)
		}
	}
	if len(files) == 0 {
		return "", nil
	}
	for _, name := range []string{"gateway.crt", "gateway.key"} {
		if path := co.Path("certs", name); checkout.IsFile(path) {
			files = append(files, path)
		}
	}
	digest, err := checkout.DigestFiles(files...)
	if err != nil {
		return "", fmt.Errorf("read the gateway's configuration: %w", err)
	}
	return digest, nil
}

// NewCommand returns the command that runs nginx in the foreground with the written configuration.
func NewCommand(ctx context.Context, co checkout.Checkout, programs localserver.Programs) (localserver.Command, error) {
	program, err := programs.Nginx()
	if err != nil {
		return localserver.Command{}, err
	}
	args := []string{"-c", co.Path("etc", "nginx.conf"), "-p", co.Path("data", "nginx")}
	if nginxVersion(ctx, program) >= 1_019_005 {
		// Until nginx has read its configuration it would write to the distribution's log, which only root may.
		args = append(args, "-e", "stderr")
	}
	return localserver.Command{
		Path: program,
		Args: args,
		Env:  []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "PGO_HOME=" + co.Home},
		Dir:  co.Path("data", "nginx"),
	}, nil
}

// nginxVersion returns nginx's version as one number, 1_022_001 for 1.22.1, or 0 if nginx does not print it.
func nginxVersion(ctx context.Context, program string) int {
	out, err := exec.CommandContext(ctx, program, "-v").CombinedOutput()
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(`nginx/(\d+)\.(\d+)\.(\d+)`).FindStringSubmatch(string(out))
	if m == nil {
		return 0
	}
	number := 0
	for _, part := range m[1:] {
		n, _ := strconv.Atoi(part)
		number = number*1000 + n
	}
	return number
}
