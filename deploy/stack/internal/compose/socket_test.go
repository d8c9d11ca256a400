package compose

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composeService holds what of a container's description decides whether it can open the engine's socket.
type composeService struct {
	User       string   `yaml:"user"`
	Privileged bool     `yaml:"privileged"`
	PID        string   `yaml:"pid"`
	CapAdd     []string `yaml:"cap_add"`
	Devices    []string `yaml:"devices"`
	Volumes    []string `yaml:"volumes"`
	Tmpfs      any      `yaml:"tmpfs"`
}

// seesSocket reports whether the container's file system has the engine's socket, or the directory that it is in.
func (s composeService) seesSocket() bool {
	for _, volume := range s.Volumes {
		source, rest, _ := strings.Cut(strings.NewReplacer("${PGO_DOCKER_SOCKET:-", "", "}", "").Replace(volume), ":")
		target, _, _ := strings.Cut(rest, ":")
		for _, socket := range []string{"/run/docker.sock", "/var/run/docker.sock"} {
			inside, isAbove := strings.CutPrefix(socket, strings.TrimSuffix(source, "/"))
			if !strings.HasPrefix(source, "/") || !isAbove || inside != "" && inside[0] != '/' {
				continue
			}
			// /var/run is a link to /run: as seen from the container it leads to the container's own /run.
			if source == "/" && socket == "/var/run/docker.sock" {
				continue
			}
			if !s.hides(path.Dir(path.Join(target, inside))) {
				return true
			}
		}
	}
	return false
}

// hides reports whether a temporary file system is mounted over dir.
func (s composeService) hides(dir string) bool {
	mounts, _ := s.Tmpfs.([]any)
	return slices.ContainsFunc(mounts, func(mount any) bool {
		text, _ := mount.(string)
		at, _, _ := strings.Cut(text, ":")
		return at == dir
	})
}

func readComposeServices(t *testing.T) map[string]composeService {
	t.Helper()
	all := map[string]composeService{}
	for _, file := range []string{"docker-compose.yml", "deploy/monitor/compose.yml"} {
		text, err := os.ReadFile(filepath.Join("../../../..", file))
		if err != nil {
			t.Fatal(err)
		}
		var parsed struct {
			Services map[string]composeService `yaml:"services"`
		}
		if err := yaml.Unmarshal(text, &parsed); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, s := range parsed.Services {
			all[name] = s
		}
	}
	return all
}

// The engine's socket makes its user root on this machine, and a read-only mount does not prevent connections. Only engine-proxy,
// which docs/security.md names, has it.
func TestOnlyEngineProxyCanOpenTheEngineSocket(t *testing.T) {
	services := readComposeServices(t)
	if !services["engine-proxy"].seesSocket() {
		t.Error("engine-proxy does not see the socket: this test would miss others")
	}
	for name, s := range services {
		if s.seesSocket() && name != "engine-proxy" {
			t.Errorf("%s can open the engine's socket: its volumes are %v", name, s.Volumes)
		}
		if s.Privileged || len(s.Devices) > 0 || slices.Contains(s.CapAdd, "SYS_ADMIN") || slices.Contains(s.CapAdd, "SYS_PTRACE") {
			t.Errorf("%s has rights that lead out of its container: privileged %v, devices %v, capabilities %v", name, s.Privileged, s.Devices, s.CapAdd)
		}
	}
}

// A process may follow /proc/PID/root of a process of its own user. So who sees the host's processes has another user than
// engine-proxy.
func TestNoContainerReachesEngineProxyThroughProc(t *testing.T) {
	services := readComposeServices(t)
	proxy, _, _ := strings.Cut(services["engine-proxy"].User, ":")
	if proxy == "" || proxy == "0" || proxy == "root" {
		t.Fatalf("engine-proxy runs as user %q", proxy)
	}
	for name, s := range services {
		user, _, _ := strings.Cut(s.User, ":")
		seesProcesses := s.PID == "host" || slices.ContainsFunc(s.Volumes, func(v string) bool { return strings.HasPrefix(v, "/proc:") || strings.HasPrefix(v, "/:") })
		if seesProcesses && user == proxy {
			t.Errorf("%s sees the host's processes and runs as engine-proxy's user %s", name, proxy)
		}
	}
}

func TestSeesSocket(t *testing.T) {
	for _, tc := range []struct {
		name    string
		service composeService
		want    bool
	}{
		{"nothing", composeService{}, false},
		{"the socket", composeService{Volumes: []string{"/var/run/docker.sock:/var/run/docker.sock:ro"}}, true},
		{"the socket by its variable", composeService{Volumes: []string{"${PGO_DOCKER_SOCKET:-/var/run/docker.sock}:/run/docker.sock"}}, true},
		{"its directory", composeService{Volumes: []string{"/var/run:/var/run:ro"}}, true},
		{"its directory by the other name", composeService{Volumes: []string{"/run/:/host/run:ro"}}, true},
		{"everything", composeService{Volumes: []string{"/:/rootfs:ro,rslave"}}, true},
		{"everything but its directory", composeService{Volumes: []string{"/:/host:ro,rslave"}, Tmpfs: []any{"/host/run:size=4k"}}, false},
		{"another directory", composeService{Volumes: []string{"/var/lib/docker:/var/lib/docker:ro", "/sys:/sys:ro", "/running:/running"}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.service.seesSocket(); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
