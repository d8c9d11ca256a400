package account

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"pgo/bootcheck/server"
)

type permissions struct {
	User      string `json:"user,omitempty"`
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// Vhost makes the virtual host and gives the administrator every right in it.
func Vhost(ctx context.Context, m *server.Management, vhost, admin string) error {
	if err := put(ctx, m, map[string]string{}, "vhosts", vhost); err != nil {
		return fmt.Errorf("RabbitMQ vhost %s: %w", vhost, err)
	}
	all := permissions{Configure: ".*", Write: ".*", Read: ".*"}
	if err := put(ctx, m, all, "permissions", vhost, admin); err != nil {
		return fmt.Errorf("RabbitMQ vhost %s: %w", vhost, err)
	}
	return nil
}

// RabbitMQ makes the service's account. It may publish events, retries and dead letters, read its own queues, and
// configure nothing.
func RabbitMQ(ctx context.Context, m *server.Management, vhost string, s Service) error {
	if err := CheckName(s.Name); err != nil {
		return err
	}
	user := map[string]string{"password": s.RabbitMQPassword, "tags": ""}
	if err := put(ctx, m, user, "users", s.Name); err != nil {
		return fmt.Errorf("RabbitMQ account of %s: %w", s.Name, err)
	}
	if err := put(ctx, m, rabbitRights(s.Name), "permissions", vhost, s.Name); err != nil {
		return fmt.Errorf("RabbitMQ account of %s: %w", s.Name, err)
	}
	return nil
}

// put makes something or brings it to what it should be. Two PUTs of something new at the same moment are not
// idempotent in RabbitMQ: one of them is told that it exists already, and is right the second time.
func put(ctx context.Context, m *server.Management, body any, path ...string) error {
	err := m.Do(ctx, http.MethodPut, body, nil, path...)
	var said *server.StatusError
	if errors.As(err, &said) && said.Status == http.StatusBadRequest && strings.Contains(said.Body, "already_exists") {
		return m.Do(ctx, http.MethodPut, body, nil, path...)
	}
	return err
}

func rabbitRights(service string) permissions {
	return permissions{Configure: "", Write: `^pgo\.(events|retry\..*|dead)$`, Read: `^` + service + `\.`}
}

// InRabbitMQ says whether the vhost is there and each of services has its rights in it.
func InRabbitMQ(ctx context.Context, m *server.Management, vhost string, services []string) (bool, error) {
	var have []permissions
	err := m.Do(ctx, http.MethodGet, nil, &have, "vhosts", vhost, "permissions")
	if server.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	found := map[string]permissions{}
	for _, p := range have {
		found[p.User] = p
	}
	for _, name := range services {
		want := rabbitRights(name)
		want.User = name
		if found[name] != want {
			return false, nil
		}
	}
	return true, nil
}
