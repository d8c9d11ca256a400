package localserver

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	startTimeout  = 90 * time.Second
	startAttempts = 3
)

// Scratch is a directory of servers that live no longer than the process that made it: they end with Close, and also when
// that process is killed. Its methods may be called concurrently.
type Scratch struct {
	programs Programs
	dir      string
	password string
	lock     *os.File
	janitor  *janitor

	mu        sync.Mutex
	processes []*Process
	closed    bool
}

// NewScratch creates the directory in the system's directory for temporary files and starts no server.
func NewScratch(programs Programs) (*Scratch, error) {
	parent := os.TempDir()
	if len(parent) > 60 {
		parent = "/tmp" // a Unix socket in it would have too long a path
	}
	removeAbandoned(parent)
	dir, err := os.MkdirTemp(parent, scratchPrefix())
	if err != nil {
		return nil, fmt.Errorf("make a directory for private servers: %w", err)
	}
	s := &Scratch{programs: programs, dir: dir, password: randomWord()}
	if s.lock, err = os.Create(filepath.Join(dir, "lock")); err == nil {
		err = holdLock(s.lock)
	}
	if err == nil {
		s.janitor, err = startJanitor(dir)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("guard the directory of private servers: %w", err)
	}
	return s, nil
}

// Dir returns the directory of the servers' data and logs.
func (s *Scratch) Dir() string { return s.dir }

// MySQL starts a MariaDB or MySQL and returns it ready.
func (s *Scratch) MySQL(ctx context.Context) (MySQL, error) {
	return startServer(ctx, s, "mysql", 1, func(dir string, ports []int) MySQL {
		return MySQL{
			Programs: s.programs, Data: filepath.Join(dir, "data"), Etc: filepath.Join(dir, "etc"),
			Socket: filepath.Join(dir, "s"), Port: ports[0], AdminPassword: s.password, Scratch: true,
		}
	})
}

// Redis starts a Redis and returns it ready.
func (s *Scratch) Redis(ctx context.Context) (Redis, error) {
	return startServer(ctx, s, "redis", 1, func(dir string, ports []int) Redis {
		return Redis{
			Programs: s.programs, Data: filepath.Join(dir, "data"), Etc: filepath.Join(dir, "etc"),
			Port: ports[0], AdminPassword: s.password, Scratch: true,
		}
	})
}

// RabbitMQ starts a RabbitMQ, with an epmd of its own, and returns it ready.
func (s *Scratch) RabbitMQ(ctx context.Context) (RabbitMQ, error) {
	epmd, err := startServer(ctx, s, "epmd", 1, func(dir string, ports []int) Epmd {
		return Epmd{Programs: s.programs, Home: filepath.Join(dir, "home"), Port: ports[0]}
	})
	if err != nil {
		return RabbitMQ{}, err
	}
	cookie := randomWord()
	return startServer(ctx, s, "rabbitmq", 3, func(dir string, ports []int) RabbitMQ {
		return RabbitMQ{
			Programs: s.programs, Data: filepath.Join(dir, "data"), Etc: filepath.Join(dir, "etc"),
			Port: ports[0], ManagementPort: ports[1], DistPort: ports[2], EpmdPort: epmd.Port,
			AdminPassword: s.password, Cookie: cookie,
		}
	})
}

// Close ends the servers and removes the directory. It may be called more than once.
func (s *Scratch) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, p := range slices.Backward(s.processes) {
		p.Kill()
	}
	err := os.RemoveAll(s.dir)
	s.janitor.stop()
	s.lock.Close()
	return err
}

// startServer prepares and starts one server, again with other ports where the first ones turn out to be taken.
func startServer[I Instance](ctx context.Context, s *Scratch, name string, ports int, build func(dir string, ports []int) I) (I, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s took longer than %v", name, startTimeout))
	defer cancel()
	var none I
	var failures []error
	for range startAttempts {
		chosen, err := FindFreePorts(ports)
		if err != nil {
			return none, err
		}
		instance := build(filepath.Join(s.dir, name), chosen)
		err = s.startAndAwait(ctx, name, instance)
		if err == nil {
			return instance, nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil || !anyPortTaken(chosen) {
			break
		}
	}
	return none, fmt.Errorf("start a private %s: %w", name, errors.Join(failures...))
}

func (s *Scratch) startAndAwait(ctx context.Context, name string, i Instance) error {
	command, err := i.Prepare(ctx)
	if err != nil {
		return err
	}
	p, err := s.startProcess(command, filepath.Join(s.dir, name+".log"))
	if err != nil {
		return err
	}
	if err := p.WaitReady(ctx, i); err != nil {
		p.Kill()
		return err
	}
	return nil
}

func (s *Scratch) startProcess(c Command, log string) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("closed")
	}
	p, err := Start(c, log)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// anyPortTaken reports whether another process listens on one of the ports, now that our server is gone.
func anyPortTaken(ports []int) bool {
	for _, port := range ports {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return true
		}
		l.Close()
	}
	return false
}

// randomWord returns 32 random bytes as letters, digits, - and _.
func randomWord() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func scratchPrefix() string { return fmt.Sprintf("pgo-servers-%d-", os.Geteuid()) }

// Environ starts all servers concurrently and returns the variables that name them to tests. If mysql is not empty, it is
// the URL of a running MySQL.
func (s *Scratch) Environ(ctx context.Context, mysql string) ([]string, error) {
	var group sync.WaitGroup
	env := make([]string, 4)
	failed := make([]error, 3)
	group.Go(func() {
		if env[0] = "PGO_TEST_MYSQL=" + mysql; mysql != "" {
			return
		}
		m, err := s.MySQL(ctx)
		failed[0], env[0] = err, "PGO_TEST_MYSQL="+m.TestURL()
	})
	group.Go(func() {
		r, err := s.Redis(ctx)
		failed[1], env[1] = err, "PGO_TEST_REDIS="+r.TestURL()
	})
	group.Go(func() {
		r, err := s.RabbitMQ(ctx)
		failed[2], env[2], env[3] = err, "PGO_TEST_RABBITMQ="+r.TestURL(), "PGO_TEST_RABBITMQ_API="+r.TestAPI()
	})
	group.Wait()
	return env, errors.Join(failed...)
}

// TestURL is the value of PGO_TEST_MYSQL for this instance: user:password@host:port.
func (m MySQL) TestURL() string {
	return fmt.Sprintf("%s:%s@127.0.0.1:%d", AdminUser, m.AdminPassword, m.Port)
}

// TestURL is the value of PGO_TEST_REDIS for this instance.
func (r Redis) TestURL() string {
	return fmt.Sprintf("redis://%s:%s@127.0.0.1:%d", AdminUser, r.AdminPassword, r.Port)
}

// TestURL is the value of PGO_TEST_RABBITMQ for this instance, without a vhost.
func (r RabbitMQ) TestURL() string {
	return fmt.Sprintf("amqp://%s:%s@127.0.0.1:%d", AdminUser, r.AdminPassword, r.Port)
}

// TestAPI is the value of PGO_TEST_RABBITMQ_API for this instance.
func (r RabbitMQ) TestAPI() string {
	return fmt.Sprintf("http://%s:%s@127.0.0.1:%d", AdminUser, r.AdminPassword, r.ManagementPort)
}
