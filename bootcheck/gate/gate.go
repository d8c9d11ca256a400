// Package gate is the chain that services wait for: servers serve, accounts exist, schemas are where the code
// expects them, the broker has its topology. After it has passed, the gate keeps looking at the servers and makes
// again what a server has lost.
package gate

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"pgo/bootcheck/account"
	"pgo/bootcheck/binary"
	"pgo/bootcheck/probe"
	"pgo/bootcheck/server"
	"pgo/bootcheck/topology"
	"pgo/pkg/migrate"
	"pgo/pkg/mq"
)

// Service is a service that waits behind the gate.
type Service struct {
	account.Service
	Binary string // the program that is about to run
}

// Monitor is the passwords of the exporters' accounts; "": there is no such account.
type Monitor struct{ MySQLPassword, RedisPassword string }

// Options is what a gate is made of.
type Options struct {
	Servers  server.Servers
	Services []Service
	Monitor  Monitor
	Deadline time.Duration // for all servers together to serve
	Log      *zap.Logger
}

// Gate is one gate. Run Pass once, then Watch.
type Gate struct {
	o      Options
	status *Status

	mysql      *sql.DB
	redis      *redis.Client
	management *server.Management
	schemas    map[string]*sql.DB // by service

	brought    map[string]brought
	topologies []mq.Topology
}

// brought is what a binary brings.
type brought struct {
	migrations []migrate.Migration
	latest     int64
}

// New returns a gate. Nothing is dialled yet. Close it in the end. The error is about a service's name or an
// address.
func New(o Options) (*Gate, error) {
	g := &Gate{o: o, status: newStatus(o), management: server.NewManagement(o.Servers.RabbitMQ),
		schemas: map[string]*sql.DB{}, brought: map[string]brought{}}
	var err error
	if g.mysql, err = server.OpenMySQL(o.Servers.MySQL, ""); err != nil {
		return nil, err
	}
	g.redis = server.OpenRedis(o.Servers.Redis)
	for _, s := range o.Services {
		if err := account.CheckName(s.Name); err != nil {
			g.Close()
			return nil, err
		}
		if g.schemas[s.Name], err = server.OpenMySQL(o.Servers.MySQL, account.Database(s.Name)); err != nil {
			g.Close()
			return nil, err
		}
	}
	return g, nil
}

// Close ends the gate's connections.
func (g *Gate) Close() {
	for _, db := range g.schemas {
		_ = db.Close()
	}
	_ = g.redis.Close()
	_ = g.mysql.Close()
}

// Status returns what the gate knows, for people and machines.
func (g *Gate) Status() *Status { return g.status }

// Pass runs the chain once. Every error is a *Failure, or ctx's.
func (g *Gate) Pass(ctx context.Context) error {
	for _, phase := range []struct {
		name string
		run  func(context.Context) error
	}{
		{phaseServers, g.awaitServers},
		{phaseAccounts, g.makeAccounts},
		{phaseBinaries, g.readBinaries},
		{phaseSchemas, g.migrate},
		{phaseTopology, g.declare},
	} {
		g.status.begin(phase.name)
		err := phase.run(ctx)
		g.status.end(phase.name, err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	g.status.passed()
	g.o.Log.Info("every server serves and every schema is in place: services may start")
	return nil
}

func (g *Gate) awaitServers(ctx context.Context) error {
	err := probe.Wait(ctx, probe.Targets(g.o.Servers), probe.Options{
		Deadline: g.o.Deadline,
		Progress: func(text string) { g.o.Log.Info(text) },
		Seen:     g.status.seen,
	})
	if err != nil {
		return unavailable(err)
	}
	return nil
}

func (g *Gate) makeAccounts(ctx context.Context) error {
	for _, s := range g.o.Services {
		if err := account.MySQL(ctx, g.mysql, g.o.Servers.MySQL.Addr, s.Service); err != nil {
			return unavailable(err)
		}
	}
	if password := g.o.Monitor.MySQLPassword; password != "" {
		if err := account.MonitorMySQL(ctx, g.mysql, g.o.Servers.MySQL.Addr, password); err != nil {
			return unavailable(err)
		}
	}
	if err := g.redisAccounts(ctx); err != nil {
		return unavailable(err)
	}
	if err := g.rabbitAccounts(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

func (g *Gate) redisAccounts(ctx context.Context) error {
	if password := g.o.Monitor.RedisPassword; password != "" {
		if _, err := account.MonitorRedis(ctx, g.redis, password); err != nil {
			return err
		}
	}
	for _, s := range g.o.Services {
		saved, err := account.Redis(ctx, g.redis, s.Service)
		if err != nil {
			return err
		}
		if !saved {
			g.o.Log.Warn("Redis has no aclfile: its accounts are gone when it restarts, and are made again then", zap.String("for", s.Name))
		}
	}
	return nil
}

func (g *Gate) rabbitAccounts(ctx context.Context) error {
	r := g.o.Servers.RabbitMQ
	if err := account.Vhost(ctx, g.management, r.Vhost, r.Username); err != nil {
		return err
	}
	for _, s := range g.o.Services {
		if err := account.RabbitMQ(ctx, g.management, r.Vhost, s.Service); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gate) declare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r := g.o.Servers.RabbitMQ
	if err := topology.Declare(ctx, r, g.topologies...); err != nil {
		return declareFailure(fmt.Errorf("RabbitMQ at %s: %w", r.Addr, err))
	}
	return nil
}

func (g *Gate) readBinaries(ctx context.Context) error {
	g.topologies = nil
	for _, s := range g.o.Services {
		b := binary.Binary{Service: s.Name, Path: s.Binary}
		version, err := b.Version(ctx)
		if err != nil {
			return binaryFailure(err)
		}
		ms, err := b.Migrations(ctx)
		if err != nil {
			return binaryFailure(err)
		}
		topology, err := b.Topology(ctx)
		if err != nil {
			return binaryFailure(err)
		}
		g.brought[s.Name] = brought{ms, migrate.Latest(ms)}
		g.topologies = append(g.topologies, topology)
		g.status.service(s.Name, func(st *ServiceState) {
			st.Version, st.Commit, st.SchemaExpected = version.Version, version.Commit, migrate.Latest(ms)
		})
	}
	return nil
}
