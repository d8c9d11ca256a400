// Package gateway fills in nginx's configuration from the templates in deploy/nginx, for every way to run it.
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

	"pgo/deploy/stack/internal/checkout"
	"pgo/pkg/testing/localserver"
)

// Options are what differs between the ways to run the gateway. All paths but Root and Out are as nginx sees them.
type Options struct {
	Root string // the checkout, which has the templates
	Out  string // where the files are written
	Etc  string // where nginx finds them
	Data string // nginx' own folder
	HTML string // the start page
	ACME string // what whoever signs our certificate asks for
	User string // whom the workers become, where nginx starts as root

	HTTP      string // the address to listen on
	Status    string // where nginx tells its own counters, for the exporter
	TLS       TLS
	Upstreams map[string]Upstream // by the name that the template has for them
	Resolver  string              // a name server, where upstreams have names that move
	Limits    Limits
	RealIP    []string // networks of load balancers in front, whose X-Forwarded-For is believed
	Extra     string   // more locations
	Version   int      // nginx's, as 1_022_001 for 1.22.1: what it does not know is left out
}

// TLS is HTTPS; without a certificate there is none.
type TLS struct {
	Addr             string
	Certificate, Key string
}

// Limits bound what one address may take.
type Limits struct {
	Rate        string `yaml:"rate"` // as nginx has it: 1000r/s
	Burst       int    `yaml:"burst"`
	Connections int    `yaml:"connections"`
	Body        string `yaml:"body"` // the largest body, as nginx has it: 2m
}

// DefaultLimits are far above what a person or a fair program does, and below what takes the services down.
func DefaultLimits() Limits {
	return Limits{Rate: "1000r/s", Burst: 1000, Connections: 512, Body: "2m"}
}

// Since which version nginx knows of what.
const (
	versionHTTP2Directive = 1_025_001 // http2 as a directive, before it was a word of listen
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
		return fmt.Errorf("make the folder of nginx's configuration: %w", err)
	}
	for _, name := range templateNames() {
		path := filepath.Join(o.Out, name)
		if name == "tls.conf" && o.TLS.Certificate == "" {
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("take HTTPS away: %w", err)
			}
			continue
		}
		text, err := os.ReadFile(filepath.Join(o.Root, "deploy", "nginx", name+".template"))
		if err != nil {
			return fmt.Errorf("read nginx's template: %w", err)
		}
		filled, err := fillTemplate(string(text), values)
		if err != nil {
			return fmt.Errorf("%s.template: %w", name, err)
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
			return nil, fmt.Errorf("%s: nginx cannot have this path: %q", key, path)
		}
	}
	values["NGINX_USER"] = directiveIf(o.User != "", "user "+o.User)
	values["GATEWAY_HTTP"], values["GATEWAY_STATUS"], values["GATEWAY_HTTPS"] = o.HTTP, o.Status, o.TLS.Addr
	values["RESOLVER"] = directiveIf(o.Resolver != "", "resolver "+o.Resolver+" valid=2s ipv6=off")
	values["RATE"], values["BURST"], values["CONNECTIONS"] = o.Limits.Rate, strconv.Itoa(o.Limits.Burst), strconv.Itoa(o.Limits.Connections)
	values["BODY"] = o.Limits.Body
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
			return nil, fmt.Errorf("render nginx's configuration: nothing is said for %s", key)
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

func directiveIf(there bool, directive string) string {
	if !there {
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
		o.User = "root" // its workers must read the checkout, which may be root's alone
	}
	addresses := map[string]string{"bootcheck": "BOOTCHECK_HTTP"}
	for _, s := range checkout.Services() {
		addresses[s.Name] = s.AddressKey()
	}
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		key := addresses[name]
		if env[key] == "" {
			return fmt.Errorf("render nginx's configuration: no address for %s", key)
		}
		o.Upstreams[name] = Upstream{Servers: []string{env[key]}}
	}
	if err := ApplySettings(co, &o); err != nil {
		return err
	}
	if certificate := co.Path("certs", "gateway.crt"); isFile(certificate) && env["GATEWAY_HTTPS"] != "" {
		o.TLS = TLS{Addr: env["GATEWAY_HTTPS"], Certificate: certificate, Key: co.Path("certs", "gateway.key")}
	}
	if program, err := localserver.HostPrograms().Nginx(); err == nil {
		o.Version = nginxVersion(context.Background(), program)
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return fmt.Errorf("make nginx's folder: %w", err)
	}
	return WriteConfig(o)
}

// DigestConfig is one word for all that native mode's gateway has read; "" where there is nothing yet.
func DigestConfig(co checkout.Checkout) (string, error) {
	var there []string
	for _, name := range templateNames() {
		if path := co.Path("etc", name); isFile(path) {
			there = append(there, path)
		}
	}
	if len(there) == 0 {
		return "", nil
	}
	for _, name := range []string{"gateway.crt", "gateway.key"} {
		if path := co.Path("certs", name); isFile(path) {
			there = append(there, path)
		}
	}
	digest, err := checkout.DigestFiles(there...)
	if err != nil {
		return "", fmt.Errorf("look at the gateway's configuration: %w", err)
	}
	return digest, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// fillTemplate replaces ${NAME} for names in capitals; nginx's own variables are in small letters.
func fillTemplate(text string, values map[string]string) (string, error) {
	var unknown []string
	out := regexp.MustCompile(`\$\{[A-Z0-9_]+\}`).ReplaceAllStringFunc(text, func(ref string) string {
		value, ok := values[strings.Trim(ref, "${}")]
		if !ok {
			unknown = append(unknown, ref)
		}
		return value
	})
	if len(unknown) > 0 {
		return "", fmt.Errorf("nothing is known for %s", strings.Join(unknown, ", "))
	}
	return out, nil
}

// NewCommand is nginx in the foreground with the rendered configuration.
func NewCommand(ctx context.Context, co checkout.Checkout, programs localserver.Programs) (localserver.Command, error) {
	program, err := programs.Nginx()
	if err != nil {
		return localserver.Command{}, err
	}
	args := []string{"-c", co.Path("etc", "nginx.conf"), "-p", co.Path("data", "nginx")}
	if nginxVersion(ctx, program) >= 1_019_005 {
		// Until it has read its configuration nginx would write to the distribution's log, which is root's.
		args = append(args, "-e", "stderr")
	}
	return localserver.Command{
		Path: program,
		Args: args,
		Env:  []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "PGO_HOME=" + co.Home},
		Dir:  co.Path("data", "nginx"),
	}, nil
}

// nginxVersion is nginx's as one number, 1_022_001 for 1.22.1; 0 where it does not tell.
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
