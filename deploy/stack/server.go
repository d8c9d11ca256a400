package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/gateway"
	"pgo/deploy/stack/internal/monitoring"
	"pgo/pkg/testing/localserver"
)

// epmdTimeout bounds the time that RabbitMQ's start waits for epmd.
const epmdTimeout = 30 * time.Second

// runServer replaces this process by the server, which keeps the process id and gets the signals.
func runServer(ctx context.Context, args []string, co checkout.Checkout) error {
	if len(args) != 1 {
		return usageError{"run takes one server: mysql, redis, epmd, rabbitmq or nginx"}
	}
	env, err := co.ReadEnv()
	if err != nil {
		return err
	}
	if err := os.Setenv("PGO_HOME", co.Home); err != nil {
		return err
	}
	// Only the owner may read the data.
	syscall.Umask(0o077)
	if part, ok := monitoring.Find(args[0]); ok {
		return runPart(part, co, env, localserver.HostPrograms())
	}
	command, err := prepareServer(ctx, args[0], co, env)
	if err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	return execCommand(command)
}

// runPart replaces this process by a part of the monitoring. It returns an error if the part is not installed.
func runPart(part monitoring.Part, co checkout.Checkout, env map[string]string, programs localserver.Programs) error {
	command, err := part.PrepareCommand(co, env, programs)
	if err != nil {
		return fmt.Errorf("run %s: %w", part.Name, err)
	}
	if command.Path == "" {
		return fmt.Errorf("run %s: %s is not installed (package %s): make down and make up leave it out", part.Name, part.Programs[0], part.Package)
	}
	// Most of these programs do not implement the protocol: they count as ready at their start.
	if err := notifyManager(daemon.SdNotifyReady); err != nil {
		return err
	}
	return execCommand(command)
}

// notifyManager sends state to the process manager, if there is one.
func notifyManager(state string) error {
	if _, err := daemon.SdNotify(true, state); err != nil {
		return fmt.Errorf("notify the process manager: %w", err)
	}
	return nil
}

// execCommand replaces this process by command. It returns only with an error.
func execCommand(command localserver.Command) error {
	if err := os.Chdir(command.Dir); err != nil {
		return fmt.Errorf("run %s: %w", command.Path, err)
	}
	argv := append([]string{command.Path}, command.Args...)
	return fmt.Errorf("run %s: %w", command.Path, syscall.Exec(command.Path, argv, command.Env))
}

func prepareServer(ctx context.Context, name string, co checkout.Checkout, env map[string]string) (localserver.Command, error) {
	programs := localserver.HostPrograms()
	if name == "nginx" {
		return gateway.NewCommand(ctx, co, programs)
	}
	build, ok := serverBuilders()[name]
	if !ok {
		return localserver.Command{}, usageError{fmt.Sprintf("unknown server %q; known are mysql, redis, epmd, rabbitmq and nginx", name)}
	}
	s := serverSettings{checkout: co, env: env, programs: programs}
	instance := build(&s)
	if s.err != nil {
		return localserver.Command{}, s.err
	}
	if r, ok := instance.(localserver.RabbitMQ); ok {
		if err := awaitEpmd(ctx, r); err != nil {
			return localserver.Command{}, err
		}
	}
	return instance.Prepare(ctx)
}

func serverBuilders() map[string]func(*serverSettings) localserver.Instance {
	return map[string]func(*serverSettings) localserver.Instance{
		"mysql": func(s *serverSettings) localserver.Instance {
			return localserver.MySQL{
				Programs: s.programs, Data: s.checkout.Path("data", "mysql"), Etc: s.checkout.Path("etc"),
				Socket: filepath.Join(localserver.SocketDir(s.checkout.Home), "mysql.sock"),
				Port:   s.readPort("MYSQL_ADDR"), AdminPassword: s.readSecret("mysql_admin_password"),
			}
		},
		"redis": func(s *serverSettings) localserver.Instance {
			return localserver.Redis{
				Programs: s.programs, Data: s.checkout.Path("data", "redis"), Etc: s.checkout.Path("etc"),
				Port: s.readPort("REDIS_ADDR"), AdminPassword: s.readSecret("redis_admin_password"),
			}
		},
		"epmd": func(s *serverSettings) localserver.Instance {
			return localserver.Epmd{Programs: s.programs, Home: s.checkout.Path("data", "rabbitmq"), Port: s.readPort("EPMD_PORT")}
		},
		"rabbitmq": func(s *serverSettings) localserver.Instance {
			return localserver.RabbitMQ{
				Programs: s.programs, Data: s.checkout.Path("data", "rabbitmq"), Etc: s.checkout.Path("etc"),
				Port: s.readPort("RABBITMQ_ADDR"), ManagementPort: s.readPort("RABBITMQ_API"),
				DistPort: s.readPort("RABBITMQ_DIST_PORT"), EpmdPort: s.readPort("EPMD_PORT"),
				MetricsPort:   s.readPort("RABBITMQ_METRICS"),
				AdminPassword: s.readSecret("rabbitmq_admin_password"), Cookie: s.readSecret("erlang_cookie"),
			}
		},
	}
}

// serverSettings reads the ports and secrets of servers and keeps the first error.
type serverSettings struct {
	checkout checkout.Checkout
	env      map[string]string
	programs localserver.Programs
	err      error
}

func (s *serverSettings) readPort(key string) int {
	port, err := checkout.PortOf(s.env, key)
	s.keepError(err)
	return port
}

func (s *serverSettings) readSecret(name string) string {
	secret, err := s.checkout.ReadSecret(name)
	s.keepError(err)
	return secret
}

func (s *serverSettings) keepError(err error) {
	if s.err == nil {
		s.err = err
	}
}

// awaitEpmd waits for epmd, so that RabbitMQ does not start its own, which would outlive it.
func awaitEpmd(ctx context.Context, r localserver.RabbitMQ) error {
	ctx, cancel := context.WithTimeout(ctx, epmdTimeout)
	defer cancel()
	epmd := localserver.Epmd{Port: r.EpmdPort}
	for {
		err := epmd.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("epmd is not ready after %v: %w", epmdTimeout, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
