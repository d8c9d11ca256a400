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

// epmdWait is how long a RabbitMQ that comes up waits for its epmd to do so.
const epmdWait = 30 * time.Second

// runServer becomes the server: the process id stays, and its signals and exit code are the server's own.
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
	// Data is nobody else's.
	syscall.Umask(0o077)
	if part, ok := monitoring.Find(args[0]); ok {
		return runPart(ctx, part, co, env, localserver.HostPrograms())
	}
	command, err := serverCommand(ctx, args[0], co, env)
	if err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	return become(command)
}

// runPart becomes a part of the monitoring. One that is not installed says so and waits for its end: nothing
// depends on it.
func runPart(ctx context.Context, part monitoring.Part, co checkout.Checkout, env map[string]string, programs localserver.Programs) error {
	command, err := part.Command(co, env, programs)
	if err != nil {
		return fmt.Errorf("run %s: %w", part.Name, err)
	}
	if command.Path != "" {
		// Most of these programs do not know the protocol: they count as ready when they begin.
		if err := tell(daemon.SdNotifyReady); err != nil {
			return err
		}
		return become(command)
	}
	absent := fmt.Sprintf("not installed (package %s): there is no monitoring by it", part.Package)
	fmt.Fprintf(os.Stdout, "%s is %s\n", part.Name, absent)
	if err := tell("STATUS=" + absent + "\n" + daemon.SdNotifyReady); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// tell tells the process manager, where one listens.
func tell(state string) error {
	if _, err := daemon.SdNotify(true, state); err != nil {
		return fmt.Errorf("tell the process manager: %w", err)
	}
	return nil
}

// become replaces this process by command.
func become(command localserver.Command) error {
	if err := os.Chdir(command.Dir); err != nil {
		return fmt.Errorf("run %s: %w", command.Path, err)
	}
	argv := append([]string{command.Path}, command.Args...)
	return fmt.Errorf("run %s: %w", command.Path, syscall.Exec(command.Path, argv, command.Env))
}

func serverCommand(ctx context.Context, name string, co checkout.Checkout, env map[string]string) (localserver.Command, error) {
	programs := localserver.HostPrograms()
	if name == "nginx" {
		return gateway.Command(ctx, co, programs)
	}
	build, ok := servers()[name]
	if !ok {
		return localserver.Command{}, usageError{fmt.Sprintf("unknown server %q; known are mysql, redis, epmd, rabbitmq and nginx", name)}
	}
	s := settings{co: co, env: env, programs: programs}
	instance := build(&s)
	if s.err != nil {
		return localserver.Command{}, s.err
	}
	if r, ok := instance.(localserver.RabbitMQ); ok {
		if err := waitForEpmd(ctx, r); err != nil {
			return localserver.Command{}, err
		}
	}
	return instance.Prepare(ctx)
}

func servers() map[string]func(*settings) localserver.Instance {
	return map[string]func(*settings) localserver.Instance{
		"mysql": func(s *settings) localserver.Instance {
			return localserver.MySQL{
				Programs: s.programs, Data: s.co.Path("data", "mysql"), Etc: s.co.Path("etc"),
				Socket: filepath.Join(localserver.SocketDir(s.co.Home), "mysql.sock"),
				Port:   s.port("MYSQL_ADDR"), AdminPassword: s.secret("mysql_admin_password"),
			}
		},
		"redis": func(s *settings) localserver.Instance {
			return localserver.Redis{
				Programs: s.programs, Data: s.co.Path("data", "redis"), Etc: s.co.Path("etc"),
				Port: s.port("REDIS_ADDR"), AdminPassword: s.secret("redis_admin_password"),
			}
		},
		"epmd": func(s *settings) localserver.Instance {
			return localserver.Epmd{Programs: s.programs, Home: s.co.Path("data", "rabbitmq"), Port: s.port("EPMD_PORT")}
		},
		"rabbitmq": func(s *settings) localserver.Instance {
			return localserver.RabbitMQ{
				Programs: s.programs, Data: s.co.Path("data", "rabbitmq"), Etc: s.co.Path("etc"),
				Port: s.port("RABBITMQ_ADDR"), ManagementPort: s.port("RABBITMQ_API"),
				DistPort: s.port("RABBITMQ_DIST_PORT"), EpmdPort: s.port("EPMD_PORT"),
				MetricsPort:   s.port("RABBITMQ_METRICS"),
				AdminPassword: s.secret("rabbitmq_admin_password"), Cookie: s.secret("erlang_cookie"),
			}
		},
	}
}

// settings reads what a server needs and keeps the first error.
type settings struct {
	co       checkout.Checkout
	env      map[string]string
	programs localserver.Programs
	err      error
}

func (s *settings) port(key string) int {
	port, err := checkout.PortOf(s.env, key)
	s.keep(err)
	return port
}

func (s *settings) secret(name string) string {
	secret, err := s.co.ReadSecret(name)
	s.keep(err)
	return secret
}

func (s *settings) keep(err error) {
	if s.err == nil {
		s.err = err
	}
}

// waitForEpmd keeps RabbitMQ from starting an epmd of its own, which would outlive it.
func waitForEpmd(ctx context.Context, r localserver.RabbitMQ) error {
	ctx, cancel := context.WithTimeout(ctx, epmdWait)
	defer cancel()
	epmd := localserver.Epmd{Port: r.EpmdPort}
	for {
		err := epmd.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("epmd did not come up within %v: %w", epmdWait, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
