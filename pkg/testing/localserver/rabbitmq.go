package localserver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Epmd is Erlang's port mapper for one RabbitMQ instance. Left alone, RabbitMQ starts one that outlives it and that
// every Erlang program of the machine shares; as an instance of its own it ends with the others.
type Epmd struct {
	Programs Programs
	Home     string // the RabbitMQ instance's Data
	Port     int
}

// Prepare implements Instance.
func (e Epmd) Prepare(context.Context) (Command, error) {
	program, err := e.Programs.Epmd()
	if err != nil {
		return Command{}, err
	}
	if err := makeDirs(e.Home); err != nil {
		return Command{}, err
	}
	return Command{Path: program, Env: serverEnviron(e.Home, epmdEnv(e.Port)...), Dir: e.Home}, nil
}

func epmdEnv(port int) []string {
	return []string{fmt.Sprintf("ERL_EPMD_PORT=%d", port), "ERL_EPMD_ADDRESS=127.0.0.1"}
}

// RabbitMQ is an instance of RabbitMQ 3.10 or later with its management API. Its Epmd must be up before it starts.
type RabbitMQ struct {
	Programs       Programs
	Data           string // the node's HOME: its database and its cookie
	Etc            string
	Port           int
	ManagementPort int
	DistPort       int // Erlang's own, between nodes and for rabbitmqctl
	EpmdPort       int
	MetricsPort    int // of the Prometheus plugin; 0: it is off
	AdminPassword  string
	Cookie         string // what rabbitmqctl must know to speak with the node
}

// NodeName is the node's name: the same at every start, as the database is kept under it.
func (r RabbitMQ) NodeName() string { return "pgo-" + Fingerprint(r.Data) + "@localhost" }

// Prepare implements Instance. Password and cookie are in files that only the owner may read.
func (r RabbitMQ) Prepare(context.Context) (Command, error) {
	script, err := r.Programs.RabbitMQ()
	if err != nil {
		return Command{}, err
	}
	if r.AdminPassword == "" || r.Cookie == "" {
		return Command{}, errors.New("the RabbitMQ administrator's password or the cookie is empty")
	}
	if err := makeDirs(r.Etc, r.Data); err != nil {
		return Command{}, err
	}
	if err := r.writeCookie(); err != nil {
		return Command{}, err
	}
	definitions, err := r.renderDefinitions()
	if err != nil {
		return Command{}, err
	}
	definitionsFile, err := writeFile(r.Etc, "rabbitmq-definitions.json", definitions)
	if err != nil {
		return Command{}, err
	}
	conf, err := writeFile(r.Etc, "rabbitmq.conf", r.renderConfig(definitionsFile))
	if err != nil {
		return Command{}, err
	}
	plugins, err := writeFile(r.Etc, "rabbitmq-plugins", r.renderPlugins())
	if err != nil {
		return Command{}, err
	}
	return Command{Path: script, Env: r.renderEnviron(conf, plugins), Dir: r.Data}, nil
}

// Control runs rabbitmqctl for the running node.
func (r RabbitMQ) Control(ctx context.Context, args ...string) error {
	script, err := r.Programs.RabbitMQ()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(script), "rabbitmqctl"), append([]string{"-n", r.NodeName()}, args...)...)
	cmd.Env, cmd.Dir = r.renderEnviron(filepath.Join(r.Etc, "rabbitmq.conf"), filepath.Join(r.Etc, "rabbitmq-plugins")), r.Data
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (r RabbitMQ) renderEnviron(conf, plugins string) []string {
	return serverEnviron(r.Data, append(epmdEnv(r.EpmdPort),
		"RABBITMQ_NODENAME="+r.NodeName(),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(r.Data, "mnesia"),
		"RABBITMQ_LOG_BASE="+filepath.Join(r.Data, "log"),
		"RABBITMQ_LOGS=-",
		"RABBITMQ_CONFIG_FILE="+conf,
		"RABBITMQ_ADVANCED_CONFIG_FILE="+filepath.Join(r.Etc, "rabbitmq-advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+plugins,
		// Nothing of the machine's own broker.
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", r.DistPort),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		// The script then becomes the Erlang machine, instead of waiting for it as a child.
		"RUNNING_UNDER_SYSTEMD=true",
		// A dump is hundreds of megabytes and may hold passwords.
		"ERL_CRASH_DUMP_SECONDS=0",
		"ERL_CRASH_DUMP="+filepath.Join(r.Data, "erl_crash.dump"),
	)...)
}

func (r RabbitMQ) renderPlugins() string {
	if r.MetricsPort == 0 {
		return "[rabbitmq_management].\n"
	}
	return "[rabbitmq_management,rabbitmq_prometheus].\n"
}

func (r RabbitMQ) renderConfig(definitions string) string {
	lines := []string{
		"# Written at every start.",
		fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d", r.Port),
		"management.tcp.ip = 127.0.0.1",
		fmt.Sprintf("management.tcp.port = %d", r.ManagementPort),
		"load_definitions = " + definitions,
		"log.console = true",
		"log.console.level = info",
		"log.file = false",
		"vm_memory_high_watermark.absolute = 512MB",
		"disk_free_limit.absolute = 50MB",
	}
	if r.MetricsPort != 0 {
		lines = append(lines, "prometheus.tcp.ip = 127.0.0.1", fmt.Sprintf("prometheus.tcp.port = %d", r.MetricsPort))
	}
	return strings.Join(lines, "\n") + "\n"
}

// renderDefinitions are imported at every start, so the password follows; what bootcheck declared is not touched by them.
func (r RabbitMQ) renderDefinitions() (string, error) {
	salt := make([]byte, 4)
	rand.Read(salt)
	sum := sha256.Sum256(append(salt[:4:4], r.AdminPassword...))
	type m = map[string]any
	out, err := json.MarshalIndent(m{
		"users": []m{{
			"name":              AdminUser,
			"password_hash":     base64.StdEncoding.EncodeToString(append(salt, sum[:]...)),
			"hashing_algorithm": "rabbit_password_hashing_sha256",
			"tags":              "administrator",
		}},
		"vhosts":      []m{{"name": "/"}},
		"permissions": []m{{"user": AdminUser, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}},
	}, "", "  ")
	return string(out) + "\n", err
}

// writeCookie leaves a right cookie alone: Erlang wants it read-only.
func (r RabbitMQ) writeCookie() error {
	path := filepath.Join(r.Data, ".erlang.cookie")
	if old, err := os.ReadFile(path); err == nil && string(old) == r.Cookie {
		return os.Chmod(path, 0o400)
	}
	if _, err := writeFile(r.Data, ".erlang.cookie", r.Cookie); err != nil {
		return err
	}
	return os.Chmod(path, 0o400)
}
