//go:build compose

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgo/pkg/testing/testkit"
)

const (
	pauseFor = 30 * time.Second
	initFor  = 60 * time.Second
	goneFor  = 3 * time.Minute
)

// TestComposeChain starts and disturbs one stack of containers in every way that a host does, while each service is written
// to. It has to heal without help, and what was acknowledged has to be there.
func TestComposeChain(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("killing what is in a container, as the kernel does when memory is short, wants root")
	}
	s := prepareStack(t, "docker")
	slowFirstStart(t, s)
	w := s.newWriters(t)
	for _, d := range disturbances(s) {
		t.Run(d.name, func(t *testing.T) {
			s.t = t
			w.start(t)
			began := time.Now()
			d.do()
			s.eventually(t, "the calls pass again", s.journey)
			t.Logf("healed %s after the beginning", time.Since(began).Round(100*time.Millisecond))
			s.whole(t)
			w.check(t)
		})
		s.t = t
	}
	t.Run("infra that comes late", func(t *testing.T) {
		s.t = t
		lateInfra(t, s)
	})
	s.t = t
	s.noDeadLettersInside(t)
}

type disturbance struct {
	name string
	do   func()
}

func disturbances(s *stack) []disturbance {
	var all []disturbance
	for _, part := range parts() {
		all = append(all, disturbance{"restart " + part, func() { s.compose("restart", part) }})
	}
	backwards := slices.Clone(parts())
	slices.Reverse(backwards)
	all = append(all,
		disturbance{"restart each, the last of the chain first", func() {
			for _, part := range backwards {
				s.compose("restart", part)
			}
		}},
		disturbance{"restart each, the first of the chain first", func() {
			for _, part := range parts() {
				s.compose("restart", part)
			}
		}},
		disturbance{"restart all at once", func() { s.compose("restart") }})
	for _, part := range parts() {
		all = append(all, disturbance{"kill " + part, func() { s.killPart(part) }})
	}
	for _, part := range parts() {
		all = append(all, disturbance{"pause " + part, func() {
			s.compose("pause", part)
			<-time.After(pauseFor)
			s.compose("unpause", part)
		}})
	}
	infra := []string{"mysql", "redis", "rabbitmq"}
	return append(all,
		disturbance{"infra is gone for minutes", func() {
			s.compose(append([]string{"stop"}, infra...)...)
			<-time.After(goneFor)
			s.compose(append([]string{"start"}, infra...)...)
		}},
		disturbance{"the engine is restarted", func() { engineAnew(s.t) }})
}

// slowFirstStart brings the stack up for the first time while MySQL initialises for a minute, as on a slow disk.
func slowFirstStart(t *testing.T, s *stack) {
	up := make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := s.command("stack", "up")
		up <- err
	}()
	var id string
	s.eventually(t, "MySQL's container runs", func() (err error) {
		out, err := s.command("stack", "compose", "ps", "--quiet", "--status", "running", "mysql")
		if id = strings.TrimSpace(out); err == nil && id == "" {
			err = fmt.Errorf("none")
		}
		return err
	})
	s.docker("update", "--cpus", "0.02", id)
	<-time.After(initFor)
	if c := s.inspect("mysql"); c.State.Health.Status != "starting" {
		t.Errorf("after %s MySQL is %s", initFor, c.State.Health.Status)
	}
	s.docker("update", "--cpus", "2", id)
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	t.Logf("up, with MySQL initialising for %s, took %s", initFor, time.Since(began).Round(time.Second))
	s.whole(t)
}

// killPart kills the first process of a container, which the engine then starts again.
func (s *stack) killPart(part string) {
	s.t.Helper()
	before := s.inspect(part)
	if err := syscall.Kill(before.State.Pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	testkit.Eventually(s.t, part+" is started again", func() error {
		if c := s.inspect(part); c.State.StartedAt == before.State.StartedAt || c.State.Status != "running" {
			return fmt.Errorf("%s since %s", c.State.Status, c.State.StartedAt)
		}
		return nil
	})
}

// lateInfra starts the runtime while no server is there, as after a reboot in the wrong order.
func lateInfra(t *testing.T, s *stack) {
	s.compose("stop", "mysql", "redis", "rabbitmq", "runtime", "gateway")
	s.compose("start", "runtime") // compose start, unlike up, starts what it depends on as little as a reboot does
	s.docker("start", s.inspect("gateway").ID)
	testkit.Eventually(t, "the gateway answers while nothing else does", func() error {
		_, err := s.expect(200, "GET", "/gateway/livez", "", nil)
		return err
	})
	testkit.Eventually(t, "bootcheck says what it waits for", func() error {
		a, err := s.expect(200, "GET", "/services/bootcheck/status", "", nil)
		if err == nil && !strings.Contains(a.Body, `"ready":false`) {
			err = fmt.Errorf("status %s", a.Body)
		}
		return err
	})
	for _, service := range services() {
		if a, err := s.call("GET", "/services/"+service+"/readyz", "", nil); err == nil && a.Status == 200 {
			t.Errorf("%s serves without a server: %s", service, a.Body)
		}
	}
	for _, part := range []string{"rabbitmq", "redis", "mysql"} {
		s.docker("start", s.inspect(part).ID)
	}
	s.eventually(t, "the calls pass", s.journey)
	s.whole(t)
}

// engineAnew restarts the engine with the command in PGO_TEST_ENGINE_RESTART, as a host's reboot does it.
func engineAnew(t testing.TB) {
	t.Helper()
	command := os.Getenv("PGO_TEST_ENGINE_RESTART")
	if command == "" {
		command = "systemctl restart docker"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	restart := exec.CommandContext(ctx, "sh", "-c", command)
	var said bytes.Buffer
	restart.Stdout, restart.Stderr = &said, &said
	restart.WaitDelay = time.Second
	if err := restart.Run(); err != nil {
		t.Fatalf("%s (PGO_TEST_ENGINE_RESTART): %v\n%s", command, err, &said)
	}
}
