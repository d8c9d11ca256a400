package mq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// link keeps one AMQP connection: it dials until it has one, watches it, and dials again when it ends.
type link struct {
	cfg  Config
	name string // shown by the broker
	log  *zap.Logger

	mu      sync.Mutex
	conn    *amqp.Connection // nil while there is none
	blocked string           // why the broker takes no messages on conn; empty while it does
	lastErr error            // why there is none
	changed chan struct{}    // closed and replaced when one of these changes
}

func newLink(cfg Config, name string, log *zap.Logger) *link {
	return &link{
		cfg: cfg, name: name, log: log.With(zap.String("connection", name), zap.String("broker", cfg.Addr)),
		lastErr: errors.New("has not connected yet"), changed: make(chan struct{}),
	}
}

// run returns when ctx has ended and the connection is closed.
func (l *link) run(ctx context.Context) {
	pause := l.cfg.newBackoff()
	for ctx.Err() == nil {
		conn, err := l.dial(ctx)
		if err == nil {
			since := time.Now()
			closed := conn.NotifyClose(make(chan *amqp.Error, 1))
			blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 16))
			l.setState(conn, "", nil)
			l.log.Info("connected to RabbitMQ")
			err = l.watchConnection(ctx, conn, closed, blocked)
			// A broker that accepts and hangs up at once must not be dialled in a tight loop.
			if time.Since(since) > l.cfg.MaxBackoff {
				pause.Reset()
			}
		}
		if ctx.Err() != nil {
			l.setState(nil, "", ErrNotConnected)
			return
		}
		l.recordFailure(err)
		_ = sleep(ctx, pause.NextBackOff())
	}
}

// watchConnection returns why conn ended. It ends conn itself when ctx does.
func (l *link) watchConnection(ctx context.Context, conn *amqp.Connection, closed <-chan *amqp.Error, blocked <-chan amqp.Blocking) error {
	for {
		select {
		case <-ctx.Done():
			_ = conn.CloseDeadline(time.Now().Add(time.Second))
			return ctx.Err()
		case err, ok := <-closed:
			if !ok || err == nil {
				return errors.New("connection closed")
			}
			return err
		case b, ok := <-blocked:
			switch {
			case !ok:
				blocked = nil // conn is ending; closed has the reason
			case b.Active:
				l.log.Warn("RabbitMQ takes no messages", zap.String("reason", b.Reason))
				l.setState(conn, "blocked: "+b.Reason, nil)
			default:
				l.log.Info("RabbitMQ takes messages again")
				l.setState(conn, "", nil)
			}
		}
	}
}

// recordFailure records why there is no connection. It logs a reason as a warning once, not at every attempt.
func (l *link) recordFailure(err error) {
	l.mu.Lock()
	repeated := l.conn == nil && l.lastErr.Error() == err.Error()
	l.mu.Unlock()
	l.setState(nil, "", err)
	if repeated {
		l.log.Debug("still not connected to RabbitMQ", zap.Error(err))
		return
	}
	l.log.Warn("not connected to RabbitMQ, trying on", zap.Error(err))
}

func (l *link) setState(conn *amqp.Connection, blocked string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.blocked, l.lastErr = conn, blocked, err
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *link) currentState() (conn *amqp.Connection, blocked string, changed <-chan struct{}, lastErr error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn, l.blocked, l.changed, l.lastErr
}

// usableConnection returns the connection, or ErrNotConnected or ErrBlocked with the reason.
func (l *link) usableConnection() (*amqp.Connection, error) {
	conn, blocked, _, err := l.currentState()
	switch {
	case conn == nil:
		return nil, fmt.Errorf("%w: %w", ErrNotConnected, err)
	case conn.IsClosed():
		return nil, ErrNotConnected
	case blocked != "":
		return nil, fmt.Errorf("%w: %s", ErrBlocked, blocked)
	}
	return conn, nil
}

// awaitConnection returns a connection as soon as there is one, or ctx's error.
func (l *link) awaitConnection(ctx context.Context) (*amqp.Connection, error) {
	for {
		conn, _, changed, _ := l.currentState()
		if conn != nil && !conn.IsClosed() {
			return conn, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *link) dial(ctx context.Context) (*amqp.Connection, error) {
	return dial(ctx, l.cfg, l.name)
}

// dial connects and signs in within cfg.DialTimeout.
func dial(ctx context.Context, cfg Config, name string) (*amqp.Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()

	var socket net.Conn
	abandon := func() bool { return true }
	conn, err := amqp.DialConfig("amqp://"+cfg.Addr, amqp.Config{
		// Created for each attempt: some versions of amqp091-go wipe credentials after use.
		SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: cfg.Username, Password: cfg.Password}},
		Vhost:      cfg.Vhost,
		Heartbeat:  cfg.Heartbeat,
		Properties: amqp.Table{"connection_name": name, "product": "pgo"},
		Dial: func(network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			deadline, _ := ctx.Deadline()
			if err := c.SetDeadline(deadline); err != nil { // for the handshake; the library clears it after
				_ = c.Close()
				return nil, err
			}
			// A cancelled ctx does not change the deadline: closing the socket ends the handshake.
			abandon = context.AfterFunc(ctx, func() { _ = c.Close() })
			socket = &boundedConn{Conn: c, timeout: cfg.PublishTimeout}
			return socket, nil
		},
	})
	handshakeDone := abandon() // from here on ctx's end does not touch the socket
	if err == nil && !handshakeDone {
		err = ctx.Err()
	}
	if err != nil {
		if socket != nil {
			_ = socket.Close()
		}
		return nil, fmt.Errorf("connect to RabbitMQ at %s as %s: %w", cfg.Addr, cfg.Username, err)
	}
	return conn, nil
}

// boundedConn fails a write that makes no progress, which breaks the connection and brings a new one. Otherwise a write to a
// peer that stopped reading blocks everything that shares the connection, heartbeats included.
type boundedConn struct {
	net.Conn
	timeout time.Duration
}

func (c *boundedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// openChannel opens a channel and sets it up; what hangs on a dead network is left to the connection's heartbeat.
func openChannel(ctx context.Context, conn *amqp.Connection, setUp func(*amqp.Channel) error) (*amqp.Channel, error) {
	type opened struct {
		ch  *amqp.Channel
		err error
	}
	result := make(chan opened, 1)
	go func() {
		ch, err := conn.Channel()
		if err == nil {
			if err = setUp(ch); err != nil {
				_ = ch.Close()
			}
		}
		result <- opened{ch, err}
	}()
	select {
	case r := <-result:
		if r.err != nil {
			return nil, fmt.Errorf("open a channel: %w", r.err)
		}
		return r.ch, nil
	case <-ctx.Done():
		go func() {
			if r := <-result; r.err == nil {
				_ = r.ch.Close()
			}
		}()
		return nil, fmt.Errorf("open a channel: %w", ctx.Err())
	}
}
