// Package gateway fills in nginx's configuration from the templates in deploy/nginx.
package gateway

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"

	"pgo/deploy/native/internal/home"
	"pgo/pkg/localserver"
)

func templates() []string { return []string{"nginx.conf", "gateway.conf", "problem.conf"} }

// Render writes nginx's files to the state folder's etc and makes nginx's own folder.
func Render(h home.Home, env map[string]string) error {
	values := map[string]string{
		"NGINX_USER": "",
		"NGINX_DATA": h.Path("data", "nginx"),
		"NGINX_ETC":  h.Path("etc"),
		"NGINX_HTML": filepath.Join(h.Root, "deploy", "nginx", "html"),
	}
	for key, path := range values {
		if strings.ContainsAny(path, "\"\\$\n;{}") {
			return fmt.Errorf("%s: nginx cannot have this path: %q", key, path)
		}
	}
	if os.Geteuid() == 0 {
		// Its workers must read the checkout, which may be root's alone.
		values["NGINX_USER"] = "user root;"
	}
	addresses := []string{"GATEWAY_HTTP", "BOOTCHECK_HTTP"}
	for _, s := range home.Services() {
		addresses = append(addresses, s.AddrKey())
	}
	for _, key := range addresses {
		if values[key] = env[key]; env[key] == "" {
			return fmt.Errorf("render nginx's configuration: no address for %s", key)
		}
	}
	if err := os.MkdirAll(values["NGINX_DATA"], 0o700); err != nil {
		return fmt.Errorf("make nginx's folder: %w", err)
	}
	for _, name := range templates() {
		text, err := os.ReadFile(filepath.Join(h.Root, "deploy", "nginx", name+".template"))
		if err != nil {
			return fmt.Errorf("read nginx's template: %w", err)
		}
		filled, err := fill(string(text), values)
		if err != nil {
			return fmt.Errorf("%s.template: %w", name, err)
		}
		if err := renameio.WriteFile(h.Path("etc", name), []byte(filled), 0o600, renameio.IgnoreUmask()); err != nil {
			return fmt.Errorf("write nginx's configuration: %w", err)
		}
	}
	return nil
}

// fill replaces ${NAME} for names in capitals; nginx's own variables are in small letters.
func fill(text string, values map[string]string) (string, error) {
	var unknown []string
	out := regexp.MustCompile(`\$\{[A-Z_]+\}`).ReplaceAllStringFunc(text, func(ref string) string {
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

// Command is nginx in the foreground with the rendered configuration.
func Command(ctx context.Context, h home.Home, programs localserver.Programs) (localserver.Command, error) {
	program, err := programs.Nginx()
	if err != nil {
		return localserver.Command{}, err
	}
	args := []string{"-c", h.Path("etc", "nginx.conf"), "-p", h.Path("data", "nginx")}
	if takesErrorLog(ctx, program) {
		// Until it has read its configuration nginx would write to the distribution's log, which is root's.
		args = append(args, "-e", "stderr")
	}
	return localserver.Command{
		Path: program,
		Args: args,
		Env:  []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "PGO_HOME=" + h.Dir},
		Dir:  h.Path("data", "nginx"),
	}, nil
}

// takesErrorLog tells whether nginx is 1.19.5 or later, which knows -e.
func takesErrorLog(ctx context.Context, program string) bool {
	out, err := exec.CommandContext(ctx, program, "-v").CombinedOutput()
	if err != nil {
		return false
	}
	m := regexp.MustCompile(`nginx/(\d+)\.(\d+)\.(\d+)`).FindStringSubmatch(string(out))
	if m == nil {
		return false
	}
	number := 0
	for _, part := range m[1:] {
		n, _ := strconv.Atoi(part)
		number = number*1000 + n
	}
	return number >= 1_019_005
}
