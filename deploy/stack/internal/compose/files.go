package compose

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"

	"pgo/deploy/stack/internal/certs"
	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/gateway"
	"pgo/pkg/testing/localserver"
)

// Modes of files and directories in docker/ of the home. The home is closed to other users. Files that containers of other
// users read are open inside it; each container mounts only its own directory.
const (
	openDir     = 0o755
	openFile    = 0o444
	openProgram = 0o555
	privateDir  = 0o700
	privateFile = 0o400
)

// owner is the user that the runtime and Redis run as: the deploy directory's owner, or defaultUID if that is root.
type owner struct{ uid, gid int }

const defaultUID = 10001

func (s Stack) dockerPath(parts ...string) string {
	return s.Checkout.Path(append([]string{"docker"}, parts...)...)
}

// writeFiles writes all files that the containers mount. Only the gateway reads them again while it runs.
func (s Stack) writeFiles(v settings) error {
	for _, step := range []func(settings) error{s.writeProbe, s.writeInfra, s.writeRuntime, s.writeGateway, s.writeMonitoring} {
		if err := step(v); err != nil {
			return fmt.Errorf("prepare for containers: %w", err)
		}
	}
	return nil
}

// writeProbe writes the health check to a directory: a file that is mounted itself would stay the old one.
func (s Stack) writeProbe(settings) error {
	return s.copyProgram("probe", s.dockerPath("probe", "probe"))
}

// copyProgram copies a program of the checkout for containers to path, unless it is the same.
func (s Stack) copyProgram(name, path string) error {
	program, err := os.ReadFile(s.Checkout.ProgramPath(name))
	if err != nil {
		return fmt.Errorf("%w (make build builds it)", err)
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, program) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), openDir); err != nil {
		return err
	}
	return renameio.WriteFile(path, program, openProgram, renameio.IgnoreUmask())
}

func (s Stack) writeInfra(v settings) error {
	password := map[string]string{}
	for _, part := range infraPartNames() {
		secret, err := s.Checkout.ReadSecret(part + "_admin_password")
		if err != nil {
			return err
		}
		password[part] = secret
		if err := writePublic(s.dockerPath("secrets", part), "admin_password", secret); err != nil {
			return err
		}
	}
	accounts, err := localserver.MySQLAccounts(password["mysql"])
	if err != nil {
		return err
	}
	definitions, err := localserver.RabbitMQDefinitions(password["rabbitmq"])
	if err != nil {
		return err
	}
	if err := writePublic(s.dockerPath("secrets", "mysql"), "accounts.sql", accounts); err != nil {
		return err
	}
	if err := writePublic(s.dockerPath("secrets", "rabbitmq"), "definitions.json", definitions); err != nil {
		return err
	}
	// Only MySQL's first start reads it; after that root can only use the container's socket.
	if _, err := os.Stat(s.dockerPath("secrets", "mysql", "root_password")); os.IsNotExist(err) {
		if err := writePublic(s.dockerPath("secrets", "mysql"), "root_password", rand.Text()); err != nil {
			return err
		}
	}
	return s.writeRedisAccounts(v, password["redis"])
}

// writeRedisAccounts writes the accounts unless the file has the administrator with this password: Redis itself changes it.
func (s Stack) writeRedisAccounts(v settings, password string) error {
	dir := s.dockerPath("data", "redis")
	if err := makeOwnedDir(dir, v.owner); err != nil {
		return err
	}
	path := filepath.Join(dir, "users.acl")
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read Redis's accounts: %w", err)
	}
	sum := sha256.Sum256([]byte(password))
	for line := range strings.Lines(string(old)) {
		if strings.HasPrefix(line, "user "+localserver.AdminUser+" ") && strings.Contains(line, "#"+hex.EncodeToString(sum[:])) {
			return nil
		}
	}
	return writeOwned(path, localserver.RedisAccounts(password, string(old)), 0o600, v.owner)
}

// writeRuntime copies the secrets of bootcheck and the services.
func (s Stack) writeRuntime(v settings) error {
	for _, dir := range []string{s.dockerPath("runtime"), s.Checkout.Path("mail"), s.dockerPath("secrets", runtimePart)} {
		if err := makeOwnedDir(dir, v.owner); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(s.Checkout.Path("secrets"))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		content, err := os.ReadFile(s.Checkout.Path("secrets", entry.Name()))
		if err != nil {
			return err
		}
		if err := writeOwned(s.dockerPath("secrets", runtimePart, entry.Name()), string(content), privateFile, v.owner); err != nil {
			return err
		}
	}
	return nil
}

// writeGateway writes nginx's configuration with paths as in the container.
func (s Stack) writeGateway(v settings) error {
	dir := s.dockerPath("gateway")
	if err := os.MkdirAll(filepath.Join(dir, "certs"), openDir); err != nil {
		return err
	}
	if slices.Contains(v.listProfiles(), CertbotProfile) {
		// certbot runs as the runtime's user and writes certificates to the gateway's directory.
		for _, path := range []string{s.dockerPath(CertbotProfile), s.Checkout.Path("certs", "acme")} {
			if err := os.MkdirAll(path, openDir); err != nil {
				return err
			}
			if err := changeOwner(path, v.owner); err != nil {
				return err
			}
		}
		if err := changeOwner(filepath.Join(dir, "certs"), v.owner); err != nil {
			return err
		}
	}
	o := gateway.Options{
		Root: s.Checkout.Root, Out: dir, Etc: "/etc/gateway", Data: "/tmp", HTML: "/usr/share/gateway", ACME: "/var/acme",
		HTTP: fmt.Sprintf("0.0.0.0:%d", gatewayHTTP), Status: fmt.Sprintf("127.0.0.1:%d", gatewayStatus), Resolver: "127.0.0.11", Version: gateway.NewestVersion,
		Upstreams: map[string]gateway.Upstream{
			"bootcheck": {Servers: []string{fmt.Sprintf("%s:%d", runtimePart, bootcheckPort)}, Resolve: true},
		},
	}
	if slices.Contains(v.listProfiles(), "swagger") {
		o.Extra = swaggerLocation
	}
	for _, sv := range checkout.Services() {
		o.Upstreams[sv.Name] = gateway.Upstream{Servers: []string{fmt.Sprintf("%s:%d", runtimePart, sv.Port)}, Resolve: true}
	}
	if err := gateway.ApplySettings(s.Checkout, &o); err != nil {
		return err
	}
	// certbot writes the challenges of the authority there.
	if err := os.MkdirAll(s.Checkout.Path("certs", "acme"), openDir); err != nil {
		return err
	}
	certificateFile, keyFile := s.Checkout.Path("certs", certs.Certificate), s.Checkout.Path("certs", certs.Key)
	if live := s.dockerPath(CertbotProfile, "live", "pgo"); checkout.IsFile(filepath.Join(live, "fullchain.pem")) {
		certificateFile, keyFile = filepath.Join(live, "fullchain.pem"), filepath.Join(live, "privkey.pem")
	}
	if certificate, err := os.ReadFile(certificateFile); err == nil {
		key, err := os.ReadFile(keyFile)
		if err != nil {
			return err
		}
		if err := writePublic(filepath.Join(dir, "certs"), certs.Certificate, string(certificate)); err != nil {
			return err
		}
		if err := writePublic(filepath.Join(dir, "certs"), certs.Key, string(key)); err != nil {
			return err
		}
		port, err := strconv.Atoi(v.values["PGO_GATEWAY_HTTPS"])
		if err != nil {
			return fmt.Errorf("the published port of HTTPS: %w", err)
		}
		o.TLS = gateway.TLS{
			Addr:        fmt.Sprintf("0.0.0.0:%d", gatewayHTTPS),
			Port:        port,
			Certificate: "/etc/gateway/certs/" + certs.Certificate, Key: "/etc/gateway/certs/" + certs.Key,
		}
	}
	if err := gateway.WriteConfig(o); err != nil {
		return err
	}
	// nginx runs as its image's user.
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Chmod(file, openFile); err != nil {
			return err
		}
	}
	return os.Chmod(dir, openDir)
}

// swaggerLocation is added only with the profile: nginx would wait for the name of a missing container.
const swaggerLocation = `location /swagger-ui/ {
        set $swagger_ui http://swagger-ui:8080;
        proxy_pass $swagger_ui;
    }`

// writePublic writes a file that a container of another user may read.
func writePublic(dir, name, content string) error {
	if err := os.MkdirAll(dir, openDir); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, name), []byte(content), openFile, renameio.IgnoreUmask())
}

func makeOwnedDir(dir string, o owner) error {
	if err := os.MkdirAll(dir, privateDir); err != nil {
		return err
	}
	return changeOwner(dir, o)
}

func writeOwned(path, content string, mode fs.FileMode, o owner) error {
	if err := renameio.WriteFile(path, []byte(content), mode, renameio.IgnoreUmask()); err != nil {
		return err
	}
	return changeOwner(path, o)
}

// changeOwner sets the owner of path if this program runs as root. Otherwise path already has the right owner.
func changeOwner(path string, o owner) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}

// writeEnv writes the values of docker-compose.yml's variables.
func (s Stack) writeEnv(values map[string]string) error {
	if err := os.MkdirAll(s.dockerPath(), privateDir); err != nil {
		return err
	}
	text := "# Written by `make up`.\n"
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text += key + "=" + values[key] + "\n"
	}
	return renameio.WriteFile(s.envFile(), []byte(text), 0o600, renameio.IgnoreUmask())
}
