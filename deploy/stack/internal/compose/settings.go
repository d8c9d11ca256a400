package compose

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/monitoring"
	"pgo/pkg/testing/localserver"
)

// Stack runs the stack of one checkout as containers.
type Stack struct {
	Checkout checkout.Checkout
	Getenv   func(string) string
	Out, Err io.Writer // results and progress
}

func (s Stack) envFile() string { return s.dockerPath("compose.env") }

// settings holds the values of docker-compose.yml's variables and the owner of mounted files.
type settings struct {
	owner  owner
	values map[string]string
}

// persistentValues returns the variables that keep their last value until they are set again, with their defaults.
func persistentValues() map[string]string {
	values := map[string]string{
		"PGO_BACKEND": "", "PGO_BIND": "127.0.0.1", "PGO_ENV": "dev", "PGO_PUBLIC_URL": "", "PORT_OFFSET": "0", "COMPOSE_PROFILES": "",
		"PGO_TRACING_ENDPOINT": "", "PGO_PORT_HTTP": "", "PGO_PORT_HTTPS": "",
		"PGO_DOCKER_SOCKET": "/var/run/docker.sock", "ALERTS_TZ": "",
		"PGO_CERTBOT_HOSTS": "", "PGO_CERTBOT_EMAIL": "", "PGO_CERTBOT_SERVER": "https://acme-v02.api.letsencrypt.org/directory",
	}
	for _, key := range checkout.MailVariables() {
		values[key] = ""
	}
	return values
}

func (s Stack) readValues() map[string]string {
	values, err := checkout.ReadEnvFile(s.envFile())
	if err != nil {
		return nil
	}
	return values
}

// resolveSettings returns every value. The addresses of a running stack do not change.
func (s Stack) resolveSettings(ctx context.Context) (settings, error) {
	old, err := checkout.ReadEnvFile(s.envFile())
	if err != nil {
		return settings{}, err
	}
	values := map[string]string{}
	for key, fallback := range persistentValues() {
		values[key] = fallback
		if old[key] != "" {
			values[key] = old[key]
		}
		if value := s.Getenv(key); value != "" {
			values[key] = value
		}
	}
	if values["PGO_BACKEND"] == "" {
		values["PGO_BACKEND"] = filepath.Join(s.Checkout.Root, "bin")
	}
	values["PGO_PROJECT"] = "pgo-" + localserver.Fingerprint(s.Checkout.Home)
	values["PGO_HOME"] = s.Checkout.Home
	fileOwner, err := findOwner(values["PGO_BACKEND"])
	if err != nil {
		return settings{}, fmt.Errorf("read the deploy directory (PGO_BACKEND): %w", err)
	}
	values["PGO_UID"], values["PGO_GID"] = strconv.Itoa(fileOwner.uid), strconv.Itoa(fileOwner.gid)
	if err := s.resolvePorts(ctx, values, old); err != nil {
		return settings{}, err
	}
	// For programs on this machine, by the same key as in native mode's env file.
	values["GATEWAY_HTTP"] = strings.TrimPrefix(settings{values: values}.publishedURL("http"), "http://")
	values["PGO_GATEWAY_URL"] = values["PGO_PUBLIC_URL"]
	if values["PGO_GATEWAY_URL"] == "" {
		values["PGO_GATEWAY_URL"] = "http://127.0.0.1:" + values["PGO_GATEWAY_HTTP"]
	}
	resolveMonitoring(values)
	if values["PGO_ALERTS_TZ"], err = monitoring.AlertZone(values["ALERTS_TZ"]); err != nil {
		return settings{}, err
	}
	if values["PGO_DOCKER_GID"], err = findSocketGroup(values["PGO_DOCKER_SOCKET"]); err != nil && (settings{values: values}).hasMonitoring() {
		return settings{}, fmt.Errorf("find the engine's socket, which PGO_DOCKER_SOCKET names: %w", err)
	}
	s.Checkout.SetSMTPPasswordFile(values, func(name string) string { return "/run/secrets/" + name })
	for part, paths := range map[string][]string{
		"INFRA":   {s.Checkout.Path("secrets"), filepath.Join(s.Checkout.Root, "deploy", "compose")},
		"RUNTIME": {s.Checkout.Path("secrets")},
		"GRAFANA": {s.Checkout.Path("secrets", "grafana_password")},
	} {
		if values["PGO_DIGEST_"+part], err = checkout.DigestFiles(paths...); err != nil {
			return settings{}, fmt.Errorf("read the mounted files: %w", err)
		}
	}
	return settings{owner: fileOwner, values: values}, nil
}

func (s Stack) resolvePorts(ctx context.Context, values, old map[string]string) error {
	offset, err := strconv.Atoi(values["PORT_OFFSET"])
	if err != nil {
		return fmt.Errorf("PORT_OFFSET=%q is not a whole number", values["PORT_OFFSET"])
	}
	running := false
	if len(old) > 0 {
		parts, err := s.listParts(ctx)
		if err != nil {
			return err
		}
		running = parts[gatewayPart].isRunning()
	}
	if running && old["PORT_OFFSET"] != values["PORT_OFFSET"] {
		return fmt.Errorf("PORT_OFFSET=%s is requested, but %w (it runs with PORT_OFFSET=%s)", values["PORT_OFFSET"], checkout.ErrRunning, old["PORT_OFFSET"])
	}
	for scheme, number := range map[string]int{"HTTP": gatewayHTTP, "HTTPS": gatewayHTTPS} {
		key, port := "PGO_GATEWAY_"+scheme, number+offset
		if requested := values["PGO_PORT_"+scheme]; requested != "" {
			if port, err = strconv.Atoi(requested); err != nil || port < 1 || port > 65535 {
				return fmt.Errorf("PGO_PORT_%s=%q is not a port", scheme, requested)
			}
		}
		if h := s.Checkout.FindHolder(port); h.IsBusy && !running {
			return &checkout.BusyPortError{Port: port, Purpose: "the gateway", Holder: h.Description}
		}
		values[key] = strconv.Itoa(port)
	}
	return nil
}

// listProfiles returns the profiles of the selected optional parts.
func (v settings) listProfiles() []string { return strings.Split(v.values["COMPOSE_PROFILES"], ",") }

func findOwner(dir string) (owner, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return owner{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return owner{}, fmt.Errorf("%s is not a directory", dir)
	}
	if stat.Uid == 0 {
		return owner{defaultUID, defaultUID}, nil
	}
	if euid := os.Geteuid(); euid != 0 && int(stat.Uid) != euid {
		return owner{}, fmt.Errorf("%s belongs to user %d: run this as that user, or as root, who can change the secrets' owner", dir, stat.Uid)
	}
	return owner{int(stat.Uid), int(stat.Gid)}, nil
}

// publishedURL returns the URL that the gateway is published on.
func (v settings) publishedURL(scheme string) string {
	port := v.values["PGO_GATEWAY_HTTP"]
	if scheme == "https" {
		port = v.values["PGO_GATEWAY_HTTPS"]
	}
	bind := v.values["PGO_BIND"]
	if bind == "0.0.0.0" || strings.Contains(bind, "::") {
		bind = "127.0.0.1"
	}
	return scheme + "://" + bind + ":" + port
}
