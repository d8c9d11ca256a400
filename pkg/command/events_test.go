package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"pgo/pkg/command"
	"pgo/pkg/config"
	"pgo/pkg/event"
	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

var topology = mq.Topology{Queues: []mq.Queue{{Name: "demo.a", Bindings: []string{"a.#"}}, {Name: "demo.b", Bindings: []string{"b.#"}}}}

// operator runs the command line on a broker.
type operator struct {
	cfg mq.Config
	err error
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	b := testkit.NewBroker(t)
	o := &operator{cfg: mq.Config{
		Addr: b.Addr, Vhost: b.Vhost, Username: b.Username, Password: b.Password, RetryDelays: []time.Duration{50 * time.Millisecond},
		PublishTimeout: 30 * time.Second, // a busy machine must not look like an unavailable broker
	}}
	if err := mq.Declare(t.Context(), o.cfg, topology); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *operator) runCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	s := service(nil)
	s.Topology, s.Broker = topology, func() (mq.Config, error) { return o.cfg, o.err }
	var out, errs bytes.Buffer
	code = command.Run(t.Context(), command.New(s), append([]string{"events", "dead"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// mustRun returns what a command writes that must succeed.
func (o *operator) mustRun(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := o.runCommand(t, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("%v ends with %d: %s", args, code, stderr)
	}
	return stdout
}

// list returns the output of list --json.
func (o *operator) list(t *testing.T, args ...string) (letters []map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(o.mustRun(t, append([]string{"list", "--json"}, args...)...)), &letters); err != nil || letters == nil {
		t.Fatalf("%v, %v", letters, err)
	}
	return letters
}

// conn publishes and consumes until the test ends.
func (o *operator) conn(t *testing.T) *mq.Conn {
	t.Helper()
	c := mq.Connect(o.cfg, zap.NewNop())
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	testkit.Eventually(t, "connect", func() error { return c.Check(context.Background()) })
	return c
}

// kill puts an event, or a content that is none, among the dead letters of a queue.
func (o *operator) kill(t *testing.T, c *mq.Conn, queue, subject, content string) string {
	t.Helper()
	e, err := event.New(t.Context(), "demo", "a.happened.v1", subject, 3, map[string]string{"email": "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	body, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if content != "" {
		body = []byte(content)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := mq.Publishing{Exchange: mq.DeadExchange, RoutingKey: queue, Mandatory: true, MessageID: e.ID, Body: body, Headers: map[string]any{
		mq.HeaderAttempt: int64(5), mq.HeaderReason: "no such class\n\x1b[31mred\u202e " + strings.Repeat("x", 500), mq.HeaderFirstFailed: at.Format(time.RFC3339Nano),
		mq.HeaderLastFailed: at.Add(time.Hour).Format(time.RFC3339Nano), mq.HeaderExchange: mq.EventsExchange, mq.HeaderRoutingKey: "a.happened.v1",
	}}
	if err := c.Publish(t.Context(), []mq.Publishing{m})[0]; err != nil {
		t.Fatal(err)
	}
	return e.ID
}

func TestDeadLetters(t *testing.T) {
	o := newOperator(t)
	if got := o.mustRun(t, "list"); got != "no dead letters\n" {
		t.Errorf("with none it lists %q", got)
	}
	if got := o.list(t); len(got) != 0 {
		t.Errorf("with none it lists %v", got)
	}
	c := o.conn(t)
	first, second, third := o.kill(t, c, "demo.a", "s1", ""), o.kill(t, c, "demo.b", "s2", ""), o.kill(t, c, "demo.a", "s3", "")
	o.kill(t, c, "demo.b", "x", "not an event \x00")
	o.kill(t, c, "demo.b", "x", "\xff\xfe")

	letters := o.list(t)
	if len(letters) != 5 || len(o.list(t, "--queue", "demo.a")) != 2 || len(o.list(t, "--queue", "demo.b.dead")) != 3 {
		t.Fatalf("listed %v", letters)
	}
	l := letters[slices.IndexFunc(letters, func(l map[string]any) bool { return l["id"] == first })]
	for key, want := range map[string]any{
		"queue": "demo.a", "type": "a.happened.v1", "source": "demo", "subject": "s1", "sequence": 3.0, "attempts": 5.0, "first_failed_at": "2026-01-02T03:04:05Z",
		"last_failed_at": "2026-01-02T04:04:05Z", "exchange": "pgo.events", "routing_key": "a.happened.v1",
	} {
		if l[key] != want {
			t.Errorf("%s is %v, want %v", key, l[key], want)
		}
	}
	table := o.mustRun(t, "list")
	for _, want := range []string{"ID ", "REASON", first + "  a.happened.v1  demo.a  5         2026-01-02 04:04:05Z  no such class  [31mred", "(no event)", "…"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	if strings.Count(table, "\n") != 6 || strings.ContainsAny(table, "\x1b\x00\u202e") || strings.Contains(table, "example.org") {
		t.Errorf("the table is\n%s", table)
	}

	var whole map[string]any
	if err := json.Unmarshal([]byte(o.mustRun(t, "show", first)), &whole); err != nil || whole["content"].(map[string]any)["subject"] != "s1" {
		t.Errorf("shown as %v, %v", whole, err)
	}
	for _, l := range letters {
		if l["type"] != "" {
			continue
		}
		shown := map[string]any{}
		if err := json.Unmarshal([]byte(o.mustRun(t, "show", l["id"].(string))), &shown); err != nil || shown["content_text"] != "not an event \x00" && shown["content_base64"] != "//4=" {
			t.Errorf("shown as %v, %v", shown, err)
		}
		if got := o.mustRun(t, "drop", l["id"].(string)); !strings.HasPrefix(got, "dropped "+l["id"].(string)+" (no event) of demo.b") {
			t.Errorf("prints %q", got)
		}
	}

	code, stdout, stderr := o.runCommand(t, "replay", first, "nothing\x1b")
	if code != 1 || stdout != "replayed "+first+" a.happened.v1 of demo.a\n" || stderr != "demo: no such dead letter: nothing \n" {
		t.Errorf("ends with %d: %q %q", code, stdout, stderr)
	}
	handled := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.Consume(ctx, mq.Consumer{Queue: "demo.a", Handler: func(_ context.Context, d mq.Delivery) error {
			handled <- fmt.Sprint(d.Event.ID, d.Attempt)
			return nil
		}})
	}()
	if got := <-handled; got != first+"1" {
		t.Errorf("handled %s", got)
	}
	if got := o.mustRun(t, "replay", "--all", "--queue", "demo.a"); got != "replayed "+third+" a.happened.v1 of demo.a\n" {
		t.Errorf("prints %q", got)
	}
	if got := <-handled; got != third+"1" {
		t.Errorf("handled %s", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := o.mustRun(t, "drop", "--all"); got != "dropped "+second+" a.happened.v1 of demo.b\n" {
		t.Errorf("prints %q", got)
	}
	if got := o.mustRun(t, "drop", "--all") + o.mustRun(t, "replay", "--all"); got != "" || len(o.list(t)) != 0 {
		t.Errorf("with none it prints %q", got)
	}
}

func TestDeadLettersWithoutABroker(t *testing.T) {
	down := &operator{cfg: mq.Config{Addr: "127.0.0.1:1", Username: "demo", Password: "hunter2"}}
	broken := &operator{err: &config.Error{File: "a.yaml", Expected: "expected x"}}
	odd := &operator{err: errors.New("odd")}
	for _, tc := range []struct {
		name   string
		o      *operator
		args   []string
		code   int
		output string
	}{
		{"nothing to do", down, nil, 64, "dead needs one of: drop, list, replay, show"},
		{"something else", down, []string{"bury"}, 64, `unknown command "bury"`},
		{"list with an id", down, []string{"list", "x"}, 64, `unexpected argument "x"`},
		{"show without id", down, []string{"show"}, 64, "show needs one id"},
		{"show with two", down, []string{"show", "a", "b"}, 64, "show needs one id"},
		{"replay without id", down, []string{"replay"}, 64, "replay needs ids or --all"},
		{"drop without id", down, []string{"drop"}, 64, "drop needs ids or --all"},
		{"drop with ids and all", down, []string{"drop", "x", "--all"}, 64, "drop needs ids or --all"},
		{"unknown flag", down, []string{"drop", "--force"}, 64, "unknown flag: --force"},
		{"unknown queue", down, []string{"list", "--queue", "demo.c"}, 64, `unknown queue "demo.c": want one of demo.a, demo.b`},
		{"list, broker down", down, []string{"list"}, 69, "not connected to RabbitMQ: connect to RabbitMQ at 127.0.0.1:1 as demo"},
		{"show, broker down", down, []string{"show", "x"}, 69, "not connected to RabbitMQ"},
		{"replay, broker down", down, []string{"replay", "x"}, 69, "not connected to RabbitMQ"},
		{"drop, broker down", down, []string{"drop", "--all"}, 69, "not connected to RabbitMQ"},
		{"bad configuration", broken, []string{"list"}, 78, "a.yaml: expected x"},
		{"failure", odd, []string{"list"}, 1, "odd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := tc.o.runCommand(t, tc.args...)
			if code != tc.code || stdout != "" || !strings.HasPrefix(stderr, "demo: "+tc.output) || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "hunter2") {
				t.Errorf("ends with %d and prints %q, %q; want %d and %q", code, stdout, stderr, tc.code, tc.output)
			}
		})
	}
	t.Run("not declared", func(t *testing.T) {
		b := testkit.NewBroker(t)
		o := &operator{cfg: mq.Config{Addr: b.Addr, Vhost: b.Vhost, Username: b.Username, Password: b.Password}}
		if code, _, stderr := o.runCommand(t, "list"); code != 1 || !strings.Contains(stderr, "was its topology declared?") {
			t.Errorf("ends with %d and prints %q", code, stderr)
		}
	})
}
