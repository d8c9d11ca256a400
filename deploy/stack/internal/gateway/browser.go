package gateway

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values of Options.HTTPS.
const (
	OptionalHTTPS   = "optional" // HTTP and HTTPS are both served
	RedirectToHTTPS = "redirect" // HTTP redirects to HTTPS
)

// CORS describes which web pages of other origins may call the API from a browser.
type CORS struct {
	Origins     []string      `yaml:"origins"`     // such as https://app.example.org; none by default
	Credentials bool          `yaml:"credentials"` // whether browsers may send cookies and read answers to such requests
	MaxAge      time.Duration `yaml:"max_age"`     // how long a browser may remember a preflight's answer
}

var originPattern = regexp.MustCompile(`^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)

func (c CORS) validate() error {
	for _, origin := range c.Origins {
		if !originPattern.MatchString(origin) {
			return fmt.Errorf("cors.origins: %q: expected a scheme and a host in lower case, such as https://app.example.org, without a path", origin)
		}
	}
	if c.MaxAge < 0 || c.MaxAge > 24*time.Hour {
		return fmt.Errorf("cors.max_age: %s: expected 0s to 24h", c.MaxAge)
	}
	return nil
}

// templateValues returns the directives for the templates, which are empty without an origin.
func (c CORS) templateValues() map[string]string {
	if len(c.Origins) == 0 {
		return map[string]string{"CORS_MAPS": "", "CORS_PREFLIGHT": "", "CORS_HEADERS": ""}
	}
	var origins strings.Builder
	for _, origin := range slices.Sorted(slices.Values(c.Origins)) {
		fmt.Fprintf(&origins, "    %q $http_origin;\n", origin)
	}
	credentials := ""
	if c.Credentials {
		credentials = "true"
	}
	// A header whose value is empty is not sent.
	answers := map[string]string{
		"methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
		"headers": "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID, traceparent",
		"max_age": strconv.Itoa(int(c.MaxAge.Seconds())),
	}
	text := "# Web pages of these origins may call the API from a browser.\n" +
		"map $http_origin $gateway_cors_origin {\n" + origins.String() + "    default \"\";\n}\n" +
		"map $gateway_cors_origin $gateway_cors_credentials {\n    \"\" \"\";\n    default \"" + credentials + "\";\n}\n" +
		"map $gateway_cors_origin $gateway_cors_exposed {\n    \"\" \"\";\n    default \"ETag, Location, Retry-After, WWW-Authenticate, X-Request-ID\";\n}\n" +
		"map \"$request_method $gateway_cors_origin $http_access_control_request_method\" $gateway_preflight {\n    \"~^OPTIONS .+ .+$\" 1;\n    default \"\";\n}\n"
	for _, name := range []string{"methods", "headers", "max_age"} {
		text += "map $gateway_preflight $gateway_cors_" + name + " {\n    1 \"" + answers[name] + "\";\n    default \"\";\n}\n"
	}
	return map[string]string{
		"CORS_MAPS": text,
		"CORS_PREFLIGHT": `if ($gateway_preflight) {
        return 204;
    }`,
		"CORS_HEADERS": strings.Join([]string{
			"add_header Access-Control-Allow-Origin $gateway_cors_origin always;",
			"add_header Access-Control-Allow-Credentials $gateway_cors_credentials always;",
			"add_header Access-Control-Expose-Headers $gateway_cors_exposed always;",
			"add_header Access-Control-Allow-Methods $gateway_cors_methods always;",
			"add_header Access-Control-Allow-Headers $gateway_cors_headers always;",
			"add_header Access-Control-Max-Age $gateway_cors_max_age always;",
			"add_header Vary Origin always;",
		}, "\n    "),
	}
}

// addHTTPSValues adds the directives that redirect HTTP to HTTPS. Challenges of certificate authorities and the gateway's own
// health check stay on HTTP. It returns an error if there is nothing to redirect to.
func (o Options) addHTTPSValues(values map[string]string) error {
	values["HTTPS_MAP"], values["HTTPS_REDIRECT"] = "", ""
	if o.HTTPS != RedirectToHTTPS {
		return nil
	}
	if o.TLS.Certificate == "" {
		return fmt.Errorf("write nginx's configuration: https is %q, and the gateway has no certificate: run make certs, or see docs/gateway.md", RedirectToHTTPS)
	}
	port := strconv.Itoa(o.TLS.Port)
	if o.TLS.Port == 0 {
		var err error
		if _, port, err = net.SplitHostPort(o.TLS.Addr); err != nil {
			return fmt.Errorf("write nginx's configuration: the address of HTTPS: %w", err)
		}
	}
	suffix := ":" + port
	if port == "443" {
		suffix = ""
	}
	values["HTTPS_MAP"] = `# HTTP redirects to HTTPS. An authority's challenges and the health check do not.
map "$scheme:$uri" $gateway_redirect {
    "~^http:/\.well-known/acme-challenge/" "";
    "http:/gateway/livez" "";
    "~^http:" 1;
    default "";
}`
	values["HTTPS_REDIRECT"] = `if ($gateway_redirect) {
        return 308 https://$host` + suffix + `$request_uri;
    }`
	return nil
}
