package topology_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"pgo/bootcheck/internal/fixture"
	"pgo/bootcheck/server"
	"pgo/bootcheck/topology"
	"pgo/pkg/mq"
	"pgo/pkg/testing/localserver"
	"pgo/pkg/testing/testkit"
)

// testBroker runs a RabbitMQ that the test may kill.
type testBroker struct {
	t        *testing.T
	instance localserver.RabbitMQ
	process  *localserver.Process
}

func newBroker(t *testing.T) *testBroker {
	t.Helper()
	ports, err := localserver.FindFreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b := &testBroker{t: t, instance: localserver.RabbitMQ{
		Programs: localserver.HostPrograms(), Data: filepath.Join(dir, "data"), Etc: filepath.Join(dir, "etc"),
		Port: ports[0], ManagementPort: ports[1], DistPort: ports[2], EpmdPort: ports[3], AdminPassword: "admin-password", Cookie: "a-cookie",
	}}
	b.launch(localserver.Epmd{Programs: localserver.HostPrograms(), Home: b.instance.Data, Port: ports[3]})
	b.start()
	return b
}

func (b *testBroker) start() { b.process = b.launch(b.instance) }

func (b *testBroker) launch(i localserver.Instance) *localserver.Process {
	b.t.Helper()
	command, err := i.Prepare(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	p, err := localserver.Start(command, filepath.Join(b.t.TempDir(), "log"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(p.Kill)
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	defer cancel()
	if err := p.WaitReady(ctx, i); err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *testBroker) access() server.RabbitMQ {
	return server.RabbitMQ{
		Access: server.Access{Addr: fmt.Sprintf("127.0.0.1:%d", b.instance.Port), Username: localserver.AdminUser, Password: "admin-password"},
		API:    fmt.Sprintf("http://127.0.0.1:%d", b.instance.ManagementPort), Vhost: "/",
	}
}

var tasks = mq.Topology{Queues: []mq.Queue{{Name: "task.events", Bindings: []string{"school.*.v1"}}}}

func TestDeclareSurvivesBrokerCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a RabbitMQ twice")
	}
	tests := []struct {
		name       string
		killAt     string // the queue whose declaration the broker dies in
		callerDies bool
	}{
		{"in the last queue's declaration", "task.events", false},
		{"in the declaration of a queue in the middle, and the caller dies too", "pgo.retry.10s", true},
	}
	b := newBroker(t)
	r := b.access()
	m := server.NewManagement(r)
	names, err := mq.QueueNames(r.AMQPConfig(r.Vhost), tasks)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Cleanup(func() {
				for _, name := range names {
					if err := m.Do(context.Background(), http.MethodDelete, nil, nil, "queues", r.Vhost, name); err != nil {
						t.Error(err)
					}
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			declared := make(chan error, 1)
			go func() { declared <- topology.Declare(ctx, r, tasks) }()
			for m.Do(ctx, http.MethodGet, nil, nil, "queues", r.Vhost, tc.killAt) != nil {
				select {
				case err := <-declared:
					t.Fatalf("Declare ended with %v before %s was seen", err, tc.killAt)
				case <-ctx.Done():
					t.Fatal(ctx.Err())
				default:
				}
			}
			b.process.Kill()
			if tc.callerDies {
				cancel()
			}
			err := <-declared
			if err == nil {
				t.Error("Declare returned without an error although the broker died")
			}
			var failed *mq.DeclareError
			if errors.As(err, &failed) && failed.IsConflict() {
				t.Errorf("a broker that died counts as a conflict: %v", err)
			}
			b.start()

			var lost *topology.LostError
			testkit.Eventually(t, "the topology is in place", func() error {
				err := topology.Declare(t.Context(), r, tasks)
				if errors.As(err, &lost) {
					t.Errorf("a re-created queue has no leader: %v", err)
				}
				return err
			})
			for _, name := range names {
				if err := sendThrough(t, m, r.Vhost, name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// sendThrough publishes a message to the queue and reads it back.
func sendThrough(t *testing.T, m *server.Management, vhost, queue string) error {
	t.Helper()
	if err := publish(t, m, vhost, queue); err != nil {
		return err
	}
	var got []struct {
		Payload string `json:"payload"`
	}
	ask := map[string]any{"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
	if err := m.Do(t.Context(), http.MethodPost, ask, &got, "queues", vhost, queue, "get"); err != nil {
		return err
	}
	if len(got) != 1 || got[0].Payload != "hello" {
		return fmt.Errorf("got %v", got)
	}
	return nil
}

// publish publishes to the queue and returns once the queue has the message.
func publish(t *testing.T, m *server.Management, vhost, queue string) error {
	t.Helper()
	var answer struct {
		Routed bool `json:"routed"`
	}
	message := map[string]any{"properties": map[string]any{"delivery_mode": 2}, "routing_key": queue, "payload": "hello", "payload_encoding": "string"}
	if err := m.Do(t.Context(), http.MethodPost, message, &answer, "exchanges", vhost, "amq.default", "publish"); err != nil {
		return err
	}
	if !answer.Routed {
		return errors.New("not routed")
	}
	return nil
}

func TestDeclareKeepsMessages(t *testing.T) {
	r := fixture.Servers(t).RabbitMQ
	m := server.NewManagement(r)
	note := "pgo_new_queues_" + r.Vhost
	t.Cleanup(func() { _ = m.Do(context.Background(), http.MethodDelete, nil, nil, "global-parameters", note) })
	if err := topology.Declare(t.Context(), r, tasks); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		noted []string // the note of an interrupted Declare
	}{
		{"nothing is new", nil},
		{"noted and declared", []string{"task.events", "task.events.dead"}},
		{"noted and never declared", []string{"gone.events"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := publish(t, m, r.Vhost, "task.events"); err != nil {
				t.Fatal(err)
			}
			if tc.noted != nil {
				if err := m.Do(t.Context(), http.MethodPut, map[string]any{"name": note, "value": tc.noted}, nil, "global-parameters", note); err != nil {
					t.Fatal(err)
				}
			}
			if err := topology.Declare(t.Context(), r, tasks); err != nil {
				t.Fatal(err)
			}
			if err := m.Do(t.Context(), http.MethodGet, nil, nil, "global-parameters", note); tc.noted != nil && !server.IsNotFound(err) {
				t.Errorf("the note is left: %v", err)
			}
			var got []any
			ask := map[string]any{"count": 9, "ackmode": "ack_requeue_false", "encoding": "auto"}
			if err := m.Do(t.Context(), http.MethodPost, ask, &got, "queues", r.Vhost, "task.events", "get"); err != nil || len(got) != 1 {
				t.Errorf("the queue holds %v, %v", got, err)
			}
		})
	}
}
