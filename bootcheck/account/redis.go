package account

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// redisRules are the ACL rules for commands. Commands that list keys are denied: they would show those of other services.
var redisRules = []string{
	"+@all", "-@dangerous", "-@admin", "-scan", "-randomkey", "-dbsize", "-function",
	"-script", "+script|load", "+script|exists", "-pubsub",
}

// CreateRedis creates the service's account, which may use keys and channels that begin with the service's name and a
// colon. saved is false if the server has no aclfile: a restart of the server then loses the account.
func CreateRedis(ctx context.Context, c *redis.Client, s Service) (saved bool, err error) {
	if err := CheckName(s.Name); err != nil {
		return false, err
	}
	args := []any{"ACL", "SETUSER", s.Name, "reset", "on", ">" + s.RedisPassword, "~" + s.Name + ":*", "&" + s.Name + ":*"}
	for _, rule := range redisRules {
		args = append(args, rule)
	}
	if err := c.Do(ctx, args...).Err(); err != nil {
		return false, fmt.Errorf("create the Redis account of %s: %w", s.Name, err)
	}
	return saveACL(ctx, c)
}

// saveACL writes the accounts to the server's aclfile, so that they survive a restart. saved is false if it has none.
func saveACL(ctx context.Context, c *redis.Client) (saved bool, err error) {
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

// ExistsInRedis reports whether the service has an account.
func ExistsInRedis(ctx context.Context, c *redis.Client, service string) (bool, error) {
	err := c.Do(ctx, "ACL", "GETUSER", service).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil && strings.Contains(err.Error(), "LOADING") {
		return false, fmt.Errorf("wait until Redis has loaded its data: %w", err)
	}
	return err == nil, err
}
