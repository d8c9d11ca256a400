package gate

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"pgo/bootcheck/account"
	"pgo/bootcheck/server"
	"pgo/pkg/mq"
)

const (
	lookEvery   = 5 * time.Second
	lookTimeout = 4 * time.Second
	healTimeout = time.Minute
)

// Watch looks at the servers every few seconds until ctx ends, over connections that stay open. Accounts and
// topology that a server has lost are made again.
func (g *Gate) Watch(ctx context.Context) {
	r := g.o.Servers.RabbitMQ
	broker := mq.Connect(r.MQ(r.Vhost), zap.NewNop()) // what goes wrong is told here, once
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = broker.Close(closing)
	}()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	healed := true // RabbitMQ; Redis shows what it misses at every look
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var wg sync.WaitGroup
		wg.Go(func() { g.lookAtMySQL(ctx) })
		wg.Go(func() { g.lookAtRedis(ctx) })
		wg.Go(func() { healed = g.lookAtRabbitMQ(ctx, broker, healed) })
		wg.Wait()
	}
}

// noted records what a look found and tells changes. It returns true when the server has come back.
func (g *Gate) noted(ctx context.Context, name string, err error) (back bool) {
	if ctx.Err() != nil || !g.status.look(name, err) {
		return false
	}
	if err != nil {
		g.o.Log.Warn(name+" is away: "+err.Error(), zap.String("server", name))
		return false
	}
	g.o.Log.Info(name+" is back", zap.String("server", name))
	return true
}

func (g *Gate) lookAtMySQL(ctx context.Context) {
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var one int
	err := g.mysql.QueryRowContext(looking, "SELECT 1").Scan(&one)
	g.noted(ctx, "MySQL", err)
	if err != nil {
		return
	}
	for _, s := range g.o.Services {
		g.readSchema(looking, s.Name)
	}
}

func (g *Gate) lookAtRedis(ctx context.Context) {
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := g.redis.Ping(looking).Err()
	missing := g.noted(ctx, "Redis", err)
	if err != nil {
		return
	}
	var names []string
	for _, s := range g.o.Services {
		names = append(names, s.Name)
	}
	if g.o.Monitor.RedisPassword != "" {
		names = append(names, account.Monitor)
	}
	for _, name := range names {
		there, err := account.InRedis(looking, g.redis, name)
		missing = missing || err == nil && !there
	}
	if missing {
		g.heal(ctx, "Redis", g.redisAccounts)
	}
}

// lookAtRabbitMQ says whether RabbitMQ has all that it should, as far as can be known. healed is what it said last time.
func (g *Gate) lookAtRabbitMQ(ctx context.Context, broker *mq.Conn, healed bool) bool {
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var names []string
	for _, s := range g.o.Services {
		names = append(names, s.Name)
	}
	back := g.noted(ctx, "RabbitMQ", broker.Check(looking))
	vhost := g.o.Servers.RabbitMQ.Vhost
	there, err := account.InRabbitMQ(looking, g.management, vhost, names)
	if err != nil {
		return healed && !back // away, or only its management API: nothing can be made now
	}
	if there && !back && healed {
		// The exchange that everything is published to stands for the topology.
		err = g.management.Do(looking, http.MethodGet, nil, nil, "exchanges", vhost, mq.EventsExchange)
		if !server.IsNotFound(err) {
			return true
		}
	}
	return g.heal(ctx, "RabbitMQ", func(ctx context.Context) error {
		return errors.Join(g.rabbitAccounts(ctx), g.declare(ctx))
	})
}

func (g *Gate) heal(ctx context.Context, name string, again func(context.Context) error) (done bool) {
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	if err := again(ctx); err != nil {
		g.o.Log.Warn("accounts and topology of "+name+" could not be made again, the next look tries again: "+err.Error(), zap.String("server", name))
		return false
	}
	g.o.Log.Info("accounts and topology of "+name+" are in place again", zap.String("server", name))
	return true
}
