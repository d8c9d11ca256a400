package account

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// redisRules are what a service's account may do, keys and channels apart. Commands that look at keys without
// naming them would show those of other services.
var redisRules = []string{
	"+@all", "-@dangerous", "-@admin", "-scan", "-randomkey", "-dbsize", "-function",
	"-script", "+script|load", "+script|exists", "-pubsub",
}

// Redis makes the service's account, which may use keys and channels that begin with the service's name and a
// colon. saved is false when the server has no aclfile: the account is then gone after a restart of the server.
func Redis(ctx context.Context, c *redis.Client, s Service) (saved bool, err error) {
	if err := CheckName(s.Name); err != nil {
		return false, err
	}
	args := []any{"ACL", "SETUSER", s.Name, "reset", "on", ">" + s.RedisPassword, "~" + s.Name + ":*", "&" + s.Name + ":*"}
	for _, rule := range redisRules {
		args = append(args, rule)
	}
	if err := c.Do(ctx, args...).Err(); err != nil {
		return false, fmt.Errorf("Redis account of %s: %w", s.Name, err)
	}
	return save(ctx, c)
}

// save keeps the accounts over a restart, where the server has an aclfile for that.
func save(ctx context.Context, c *redis.Client) (saved bool, err error) {
	conf, err := c.ConfigGet(ctx, "aclfile").Result()
	if err != nil {
		return false, fmt.Errorf("ask Redis for its aclfile: %w", err)
	}
	if conf["aclfile"] == "" {
		return false, nil
	}
	if err := c.Do(ctx, "ACL", "SAVE").Err(); err != nil {
		return false, fmt.Errorf("save Redis's accounts: %w", err)
	}
	return true, nil
}

// InRedis says whether the service has an account.
func InRedis(ctx context.Context, c *redis.Client, service string) (bool, error) {
	err := c.Do(ctx, "ACL", "GETUSER", service).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil && strings.Contains(err.Error(), "LOADING") {
		return false, fmt.Errorf("Redis is still loading its data: %w", err)
	}
	return err == nil, err
}
