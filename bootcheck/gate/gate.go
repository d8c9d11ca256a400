// Package gate implements the phases that services wait for: servers serve, accounts exist, schemas have the versions that
// the code expects, the broker has its topology. After the gate has passed, it keeps checking the servers and re-creates
// accounts and topology that a server has lost.
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

// MonitorPasswords holds the passwords of the exporters' accounts. An account with the password "" is not created.
type MonitorPasswords struct{ MySQLPassword, RedisPassword string }

// Options configures a gate.
type Options struct {
	Servers  server.Servers
	Services []Service
	Monitor  MonitorPasswords
	Deadline time.Duration // until all servers serve
	// ProbeSuccesses is the number of probes in a row that a server must pass; 0 is 1.
	ProbeSuccesses int
	Log            *zap.Logger
}

// Gate runs the phases and watches the servers. Call Pass once, then Watch.
type Gate struct {
	options Options
	status  *Status

	mysql      *sql.DB
	redis      *redis.Client
	management *server.Management
	schemas    map[string]*sql.DB // by service

	targets    map[string]schemaTarget
	topologies []mq.Topology
}

// schemaTarget holds the migrations that a binary brings and the version that they lead to.
type schemaTarget struct {
	migrations []migrate.Migration
	latest     int64
}

// New returns a gate without dialling anything. The caller must Close it. It returns an error if a service's name or a
// server's address is invalid.
func New(o Options) (*Gate, error) {
	g := &Gate{options: o, status: newStatus(o), management: server.NewManagement(o.Servers.RabbitMQ),
		schemas: map[string]*sql.DB{}, targets: map[string]schemaTarget{}}
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
		if g.schemas[s.Name], err = server.OpenMySQL(o.Servers.MySQL, account.DatabaseName(s.Name)); err != nil {
			g.Close()
			return nil, err
		}
	}
	return g, nil
}

// Close closes the gate's connections.
func (g *Gate) Close() {
	for _, db := range g.schemas {
		_ = db.Close()
	}
	_ = g.redis.Close()
	_ = g.mysql.Close()
}

// Status returns the gate's state, which is updated while the gate runs.
func (g *Gate) Status() *Status { return g.status }

// Pass runs every phase once, in order. Its errors are *Failure, or ctx's.
func (g *Gate) Pass(ctx context.Context) error {
	for _, phase := range []struct {
		name string
		run  func(context.Context) error
	}{
		{phaseServers, g.awaitServers},
		{phaseAccounts, g.createAccounts},
		{phaseBinaries, g.readBinaries},
		{phaseSchemas, g.migrateSchemas},
		{phaseTopology, g.declareTopology},
	} {
		g.status.startPhase(phase.name)
		err := phase.run(ctx)
		g.status.finishPhase(phase.name, err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	g.status.markPassed()
	g.options.Log.Info("every server serves and every schema is in place: services may start")
	return nil
}

func (g *Gate) awaitServers(ctx context.Context) error {
	err := probe.AwaitAll(ctx, probe.NewTargets(g.options.Servers), probe.Options{
		Deadline:   g.options.Deadline,
		Successes:  g.options.ProbeSuccesses,
		OnProgress: func(text string) { g.options.Log.Info(text) },
		OnResult:   g.status.recordProbe,
	})
	if err != nil {
		return newUnavailable(err)
	}
	return nil
}

func (g *Gate) createAccounts(ctx context.Context) error {
	for _, s := range g.options.Services {
		if err := account.CreateMySQL(ctx, g.mysql, g.options.Servers.MySQL.Addr, s.Service); err != nil {
			return newUnavailable(err)
		}
	}
	if password := g.options.Monitor.MySQLPassword; password != "" {
		if err := account.CreateMonitorMySQL(ctx, g.mysql, g.options.Servers.MySQL.Addr, password); err != nil {
			return newUnavailable(err)
		}
	}
	if err := g.createRedisAccounts(ctx); err != nil {
		return newUnavailable(err)
	}
	if err := g.createRabbitMQAccounts(ctx); err != nil {
		return newUnavailable(err)
	}
	if err := g.verifyLogins(ctx); err != nil {
		return newUnavailable(err)
	}
	return nil
}

func (g *Gate) createRedisAccounts(ctx context.Context) error {
	if password := g.options.Monitor.RedisPassword; password != "" {
		if _, err := account.CreateMonitorRedis(ctx, g.redis, password); err != nil {
			return err
		}
	}
	for _, s := range g.options.Services {
		saved, err := account.CreateRedis(ctx, g.redis, s.Service)
		if err != nil {
			return err
		}
		if !saved {
			g.options.Log.Warn("Redis has no aclfile: its accounts are lost when it restarts and are then created again", zap.String("for", s.Name))
		}
	}
	return nil
}

func (g *Gate) createRabbitMQAccounts(ctx context.Context) error {
	r := g.options.Servers.RabbitMQ
	if err := account.CreateVhost(ctx, g.management, r.Vhost, r.Username); err != nil {
		return err
	}
	for _, s := range g.options.Services {
		if err := account.CreateRabbitMQ(ctx, g.management, r.Vhost, s.Service); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gate) declareTopology(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r := g.options.Servers.RabbitMQ
	if err := topology.Declare(ctx, r, g.topologies...); err != nil {
		return classifyDeclareError(fmt.Errorf("RabbitMQ at %s: %w", r.Addr, err))
	}
	return nil
}

func (g *Gate) readBinaries(ctx context.Context) error {
	g.topologies = nil
	for _, s := range g.options.Services {
		b := binary.Binary{Service: s.Name, Path: s.Binary}
		version, err := b.ReadVersion(ctx)
		if err != nil {
			return classifyBinaryError(err)
		}
		ms, err := b.ReadMigrations(ctx)
		if err != nil {
			return classifyBinaryError(err)
		}
		topology, err := b.ReadTopology(ctx)
		if err != nil {
			return classifyBinaryError(err)
		}
		g.targets[s.Name] = schemaTarget{ms, migrate.Latest(ms)}
		g.topologies = append(g.topologies, topology)
		g.status.updateService(s.Name, func(st *ServiceState) {
			st.Version, st.Commit, st.SchemaExpected = version.Version, version.Commit, migrate.Latest(ms)
		})
	}
	return nil
}
