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
	"pgo/pkg/testing/localserver"
)

// Stack is the stack of one state folder as containers.
type Stack struct {
	Checkout checkout.Checkout
	Getenv   func(string) string
	Out, Err io.Writer // what was asked for, and what is told meanwhile
}

func (s Stack) envFile() string { return s.dockerPath("compose.env") }

// settings are what docker-compose.yml is filled in with.
type settings struct {
	owner  owner
	values map[string]string
}

// persistentValues are values that are asked for once and stay until they are asked for anew.
func persistentValues() map[string]string {
	return map[string]string{
		"PGO_BACKEND": "", "PGO_BIND": "127.0.0.1", "PGO_ENV": "dev", "PGO_PUBLIC_URL": "", "PORT_OFFSET": "0", "COMPOSE_PROFILES": "",
		"PGO_TRACING_ENDPOINT": "", "PGO_PORT_HTTP": "", "PGO_PORT_HTTPS": "",
		"PGO_CERTBOT_HOSTS": "", "PGO_CERTBOT_EMAIL": "", "PGO_CERTBOT_SERVER": "https://acme-v02.api.letsencrypt.org/directory",
	}
}

func (s Stack) readValues() map[string]string {
	values, err := checkout.ReadEnvFile(s.envFile())
	if err != nil {
		return nil
	}
	return values
}

// resolveSettings decides every value. While containers of this stack run its addresses stay.
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
		if asked := s.Getenv(key); asked != "" {
			values[key] = asked
		}
	}
	if values["PGO_BACKEND"] == "" {
		values["PGO_BACKEND"] = filepath.Join(s.Checkout.Root, "bin")
	}
	values["PGO_PROJECT"] = "pgo-" + localserver.Fingerprint(s.Checkout.Home)
	values["PGO_HOME"] = s.Checkout.Home
	who, err := findOwner(values["PGO_BACKEND"])
	if err != nil {
		return settings{}, fmt.Errorf("look at the deploy folder (PGO_BACKEND): %w", err)
	}
	values["PGO_UID"], values["PGO_GID"] = strconv.Itoa(who.uid), strconv.Itoa(who.gid)
	if err := s.resolvePorts(ctx, values, old); err != nil {
		return settings{}, err
	}
	// For programs on this machine, under the name that native mode's env file has for it.
	values["GATEWAY_HTTP"] = strings.TrimPrefix(settings{values: values}.publishedURL("http"), "http://")
	values["PGO_GATEWAY_URL"] = values["PGO_PUBLIC_URL"]
	if values["PGO_GATEWAY_URL"] == "" {
		values["PGO_GATEWAY_URL"] = "http://127.0.0.1:" + values["PGO_GATEWAY_HTTP"]
	}
	resolveMonitoring(values)
	for part, paths := range map[string][]string{
		"INFRA":   {s.Checkout.Path("secrets"), filepath.Join(s.Checkout.Root, "deploy", "compose")},
		"RUNTIME": {s.Checkout.Path("secrets")},
	} {
		if values["PGO_DIGEST_"+part], err = checkout.DigestFiles(paths...); err != nil {
			return settings{}, fmt.Errorf("look at what is mounted: %w", err)
		}
	}
	return settings{owner: who, values: values}, nil
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
		return fmt.Errorf("PORT_OFFSET=%s is asked for, but %w (it runs with PORT_OFFSET=%s)", values["PORT_OFFSET"], checkout.ErrRunning, old["PORT_OFFSET"])
	}
	for scheme, number := range map[string]int{"HTTP": gatewayHTTP, "HTTPS": gatewayHTTPS} {
		key, port := "PGO_GATEWAY_"+scheme, number+offset
		if asked := values["PGO_PORT_"+scheme]; asked != "" {
			if port, err = strconv.Atoi(asked); err != nil || port < 1 || port > 65535 {
				return fmt.Errorf("PGO_PORT_%s=%q is no port", scheme, asked)
			}
		}
		if h := s.Checkout.FindHolder(port); h.IsBusy && !running {
			return &checkout.BusyPortError{Port: port, Purpose: "the gateway", Holder: h.Description}
		}
		values[key] = strconv.Itoa(port)
	}
	return nil
}

// listProfiles are the optional parts that are wanted.
func (v settings) listProfiles() []string { return strings.Split(v.values["COMPOSE_PROFILES"], ",") }

func findOwner(dir string) (owner, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return owner{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return owner{}, fmt.Errorf("%s is no folder", dir)
	}
	if stat.Uid == 0 {
		return owner{defaultUID, defaultUID}, nil
	}
	if euid := os.Geteuid(); euid != 0 && int(stat.Uid) != euid {
		return owner{}, fmt.Errorf("%s belongs to user %d: run this as that user or as root, who can hand the secrets over", dir, stat.Uid)
	}
	return owner{int(stat.Uid), int(stat.Gid)}, nil
}

// publishedURL is where the gateway is published.
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
