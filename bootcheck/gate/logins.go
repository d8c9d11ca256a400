package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"pgo/bootcheck/account"
	"pgo/bootcheck/probe"
	"pgo/bootcheck/server"
)

// verifyLogins logs in to each server as each service does, and sends a message through the services' vhost. Its error names
// every account that does not work.
func (g *Gate) verifyLogins(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	checks := []func(context.Context) error{g.sendMessage}
	for _, s := range g.options.Services {
		checks = append(checks,
			func(ctx context.Context) error {
				return account.VerifyMySQL(ctx, g.mysql, g.options.Servers.MySQL.Addr, s.Service)
			},
			func(ctx context.Context) error { return g.verifyRedis(ctx, s.Service) },
			func(ctx context.Context) error { return g.verifyRabbitMQ(ctx, s.Service) })
	}
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() { errs[i] = check(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (g *Gate) verifyRedis(ctx context.Context, s account.Service) error {
	c := server.OpenRedis(server.Access{Addr: g.options.Servers.Redis.Addr, Username: s.Name, Password: s.RedisPassword})
	defer c.Close()
	if err := probe.WriteRedis(ctx, c, s.Name+":"); err != nil {
		return fmt.Errorf("log in to Redis as %s: %w", s.Name, err)
	}
	return nil
}

func (g *Gate) verifyRabbitMQ(ctx context.Context, s account.Service) error {
	r := g.options.Servers.RabbitMQ
	r.Username, r.Password = s.Name, s.RabbitMQPassword
	if err := probe.OpenAMQP(ctx, r, r.Vhost); err != nil {
		return fmt.Errorf("log in to RabbitMQ as %s: %w", s.Name, err)
	}
	return nil
}

func (g *Gate) sendMessage(ctx context.Context) error {
	if err := probe.SendMessage(ctx, g.management, g.options.Servers.RabbitMQ.Vhost, rand.Text()); err != nil {
		return fmt.Errorf("RabbitMQ at %s: %w", g.options.Servers.RabbitMQ.Addr, err)
	}
	return nil
}
