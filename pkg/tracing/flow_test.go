package tracing_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/event"
	"pgo/pkg/health"
	"pgo/pkg/httpx"
	"pgo/pkg/mq"
	"pgo/pkg/mysql"
	"pgo/pkg/outbox"
	"pgo/pkg/testing/testkit"
)

const queue = "school.users"

// shop is a service with everything that makes spans: a request writes to MySQL and Redis and appends an event, which the relay
// publishes and a consumer handles.
type shop struct {
	spans   *tracetest.InMemoryExporter
	engine  *gin.Engine
	handled chan string // the trace id that a handler saw
}

func newShop(t *testing.T, sampler sdktrace.Sampler) *shop {
	t.Helper()
	ctx, log, reg := context.Background(), zap.NewNop(), prometheus.NewRegistry()
	s := &shop{spans: tracetest.NewInMemoryExporter(), handled: make(chan string, 1)}
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans), sdktrace.WithSampler(sampler))

	database := testkit.NewDatabase(t)
	if _, err := database.Open(t).Exec(outbox.Schema); err != nil {
		t.Fatal(err)
	}
	dbConfig := mysql.Defaults()
	dbConfig.Addr, dbConfig.Username, dbConfig.Password, dbConfig.Database = database.Addr, database.User, config.Secret(database.Password), database.Name
	gorm, err := mysql.Open(dbConfig, tp, reg)
	if err != nil {
		t.Fatal(err)
	}
	db, err := gorm.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })

	server := testkit.NewRedis(t)
	redisConfig := cache.Defaults()
	redisConfig.Addr, redisConfig.Username, redisConfig.Password, redisConfig.Timeout = server.Addr, server.Username, config.Secret(server.Password), 5*time.Second
	redis := cache.Open(redisConfig)
	t.Cleanup(func() { redis.Close() })
	cache.AddTracing(redis, tp)
	if err := redis.Ping(ctx).Err(); err != nil { // a new connection's greeting is a span too
		t.Fatal(err)
	}

	b := testkit.NewBroker(t)
	brokerConfig := mq.Config{Addr: b.Addr, Vhost: b.Vhost, Username: b.Username, Password: b.Password, Tracer: tp}
	if err := mq.Declare(ctx, brokerConfig, mq.Topology{Queues: []mq.Queue{{Name: queue, Bindings: []string{"user.*.v1"}}}}); err != nil {
		t.Fatal(err)
	}
	broker := mq.Connect(brokerConfig, log)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := broker.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	relay, err := outbox.NewRelay(db, broker, log, reg, outbox.Options{PollInterval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{}, 2)
	go func() { relay.Run(running); ended <- struct{}{} }()
	go func() {
		defer func() { ended <- struct{}{} }()
		_ = broker.Consume(running, mq.Consumer{Queue: queue, Handler: func(ctx context.Context, _ mq.Delivery) error {
			if _, err := db.ExecContext(ctx, "DO 1"); err != nil {
				return err
			}
			s.handled <- trace.SpanContextFromContext(ctx).TraceID().String()
			return nil
		}})
	}()
	t.Cleanup(func() { stop(); <-ended; <-ended })

	if s.engine, err = httpx.NewEngine(httpx.Options{Config: httpx.Defaults(), Log: log, Tracer: tp, Registry: reg, Health: health.New(log)}); err != nil {
		t.Fatal(err)
	}
	s.engine.POST("/users", httpx.Handle(func(c *gin.Context) error {
		ctx := c.Request.Context()
		if err := redis.Set(ctx, server.Prefix+"a", "secret-value", time.Minute).Err(); err != nil {
			return err
		}
		e, err := event.New(ctx, "user", "user.created.v1", "1", 1, map[string]string{"id": "1"})
		if err != nil {
			return err
		}
		if err := outbox.Append(ctx, db, e); err != nil {
			return err
		}
		relay.Notify()
		c.Status(http.StatusCreated)
		return nil
	}))
	return s
}

// request makes the request and waits until its event was handled. It returns the trace that the handler saw.
func (s *shop) request(t *testing.T, traceparent string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/users", nil)
	if traceparent != "" {
		r.Header.Set("traceparent", traceparent)
	}
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return <-s.handled
}

// TestTraceSpansRequestQueryAndEvent: one trace from the request through MySQL, Redis, the outbox and RabbitMQ to the statement that the
// consumer runs, each span under the one that caused it, and nothing of what runs on its own beside it.
func TestTraceSpansRequestQueryAndEvent(t *testing.T) {
	const id, parent = "0102030405060708090a0b0c0d0e0f10", "0102030405060708"
	s := newShop(t, sdktrace.ParentBased(sdktrace.NeverSample()))
	if got := s.request(t, "00-"+id+"-"+parent+"-01"); got != id {
		t.Errorf("the handler saw trace %s, want %s", got, id)
	}
	var tree map[string]string
	want := map[string]string{
		"POST /users": parent, "redis set": "POST /users", "sql.conn.exec": "POST /users", "publish pgo.events": "POST /users",
		"process " + queue: "publish pgo.events", "sql.conn.exec in process " + queue: "process " + queue,
	}
	// The last spans end after the handler has.
	testkit.Eventually(t, "all spans are there", func() error {
		var err error
		if tree, err = family(s.spans.GetSpans(), id); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(tree, want) {
			return fmt.Errorf("spans and their parents: %v, want %v", tree, want)
		}
		return nil
	})
	for _, span := range s.spans.GetSpans() {
		for _, a := range span.Attributes {
			if a.Value.AsString() == "secret-value" {
				t.Errorf("span %s has a value of Redis: %v", span.Name, a)
			}
		}
	}
}

func TestUnsampledTraceHasNoSpans(t *testing.T) {
	const id = "0102030405060708090a0b0c0d0e0f10"
	s := newShop(t, sdktrace.ParentBased(sdktrace.NeverSample()))
	if got := s.request(t, "00-"+id+"-0102030405060708-00"); got != id {
		t.Errorf("the handler saw trace %s, want %s: what is logged must still line up", got, id)
	}
	if spans := s.spans.GetSpans(); len(spans) > 0 {
		t.Errorf("spans %v", spans)
	}
}

// family is each span's name with that of its parent. A second span of one name is identified by its parent.
func family(spans tracetest.SpanStubs, id string) (map[string]string, error) {
	names := map[string]string{}
	for _, s := range spans {
		if got := s.SpanContext.TraceID().String(); got != id {
			return nil, fmt.Errorf("span %s is of another trace: %s", s.Name, got)
		}
		names[s.SpanContext.SpanID().String()] = s.Name
	}
	slices.SortFunc(spans, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	tree := map[string]string{}
	for _, s := range spans {
		parent := s.Parent.SpanID().String()
		if name, ok := names[parent]; ok {
			parent = name
		}
		name := s.Name
		if _, ok := tree[name]; ok {
			name += " in " + parent
		}
		tree[name] = parent
	}
	return tree, nil
}
