package gate

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"pgo/bootcheck/account"
	"pgo/bootcheck/probe"
	"pgo/bootcheck/server"
	"pgo/pkg/mq"
)

const (
	checkInterval = 5 * time.Second
	checkTimeout  = 4 * time.Second
	repairTimeout = time.Minute
)

// Watch checks the servers every checkInterval until ctx ends, over connections that stay open. It re-creates accounts and
// topology that a server has lost.
func (g *Gate) Watch(ctx context.Context) {
	r := g.options.Servers.RabbitMQ
	broker := mq.Connect(r.AMQPConfig(r.Vhost), zap.NewNop()) // errors are logged here, once
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = broker.Close(closing)
	}()
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	repaired := true // RabbitMQ; Redis shows missing accounts at every check
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var wg sync.WaitGroup
		wg.Go(func() { g.checkMySQL(ctx) })
		wg.Go(func() { g.checkRedis(ctx) })
		wg.Go(func() { repaired = g.checkRabbitMQ(ctx, broker, repaired) })
		wg.Wait()
	}
}

// recordCheck records the result of a check and logs a change. It reports whether the server has become available again.
func (g *Gate) recordCheck(ctx context.Context, name string, err error) (isBack bool) {
	if ctx.Err() != nil || !g.status.recordCheck(name, err) {
		return false
	}
	if err != nil {
		g.options.Log.Warn(name+" is unavailable: "+err.Error(), zap.String("server", name))
		return false
	}
	g.options.Log.Info(name+" is available again", zap.String("server", name))
	return true
}

func (g *Gate) checkMySQL(ctx context.Context) {
	checkCtx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := probe.WriteMySQL(checkCtx, g.mysql)
	g.recordCheck(ctx, "MySQL", err)
	if err != nil {
		return
	}
	for _, s := range g.options.Services {
		g.readSchema(checkCtx, s.Name)
	}
}

func (g *Gate) checkRedis(ctx context.Context) {
	checkCtx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := probe.WriteRedis(checkCtx, g.redis, "pgo:")
	missing := g.recordCheck(ctx, "Redis", err)
	if err != nil {
		return
	}
	var names []string
	for _, s := range g.options.Services {
		names = append(names, s.Name)
	}
	if g.options.Monitor.RedisPassword != "" {
		names = append(names, account.Monitor)
	}
	for _, name := range names {
		exists, err := account.ExistsInRedis(checkCtx, g.redis, name)
		missing = missing || err == nil && !exists
	}
	if missing {
		g.repair(ctx, "Redis", g.createRedisAccounts)
	}
}

// checkRabbitMQ reports whether RabbitMQ has every account and the topology, as far as it answers. repaired is the last result.
func (g *Gate) checkRabbitMQ(ctx context.Context, broker *mq.Conn, repaired bool) bool {
	checkCtx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var names []string
	for _, s := range g.options.Services {
		names = append(names, s.Name)
	}
	serves := broker.Check(checkCtx)
	if serves == nil {
		serves = probe.CheckAlarms(checkCtx, g.management)
	}
	isBack := g.recordCheck(ctx, "RabbitMQ", serves)
	vhost := g.options.Servers.RabbitMQ.Vhost
	exist, err := account.AllInRabbitMQ(checkCtx, g.management, vhost, names)
	if err != nil {
		return repaired && !isBack // the broker or its management API is down: nothing can be repaired now
	}
	if exist && !isBack && repaired {
		// The exchange for events is declared with the topology: without it, all of it is missing.
		err = g.management.Do(checkCtx, http.MethodGet, nil, nil, "exchanges", vhost, mq.EventsExchange)
		if !server.IsNotFound(err) {
			return true
		}
	}
	return g.repair(ctx, "RabbitMQ", func(ctx context.Context) error {
		return errors.Join(g.createRabbitMQAccounts(ctx), g.declareTopology(ctx))
	})
}

func (g *Gate) repair(ctx context.Context, name string, create func(context.Context) error) (done bool) {
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	if err := create(ctx); err != nil {
		g.options.Log.Warn("accounts and topology of "+name+" could not be re-created, the next check tries again: "+err.Error(), zap.String("server", name))
		return false
	}
	g.options.Log.Info("accounts and topology of "+name+" are re-created", zap.String("server", name))
	return true
}
