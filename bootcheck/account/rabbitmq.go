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

// CreateVhost creates the virtual host and grants the administrator every right in it.
func CreateVhost(ctx context.Context, m *server.Management, vhost, admin string) error {
	if err := putResource(ctx, m, map[string]string{}, "vhosts", vhost); err != nil {
		return fmt.Errorf("RabbitMQ vhost %s: %w", vhost, err)
	}
	all := permissions{Configure: ".*", Write: ".*", Read: ".*"}
	if err := putResource(ctx, m, all, "permissions", vhost, admin); err != nil {
		return fmt.Errorf("RabbitMQ vhost %s: %w", vhost, err)
	}
	return nil
}

// CreateRabbitMQ creates the service's account. It may publish events, retries and dead letters and read its own queues; it
// may configure nothing.
func CreateRabbitMQ(ctx context.Context, m *server.Management, vhost string, s Service) error {
	if err := CheckName(s.Name); err != nil {
		return err
	}
	user := map[string]string{"password": s.RabbitMQPassword, "tags": ""}
	if err := putResource(ctx, m, user, "users", s.Name); err != nil {
		return fmt.Errorf("RabbitMQ account of %s: %w", s.Name, err)
	}
	if err := putResource(ctx, m, rabbitMQPermissions(s.Name), "permissions", vhost, s.Name); err != nil {
		return fmt.Errorf("RabbitMQ account of %s: %w", s.Name, err)
	}
	return nil
}

// putResource creates or updates a resource. Concurrent PUTs of a new resource are not idempotent in RabbitMQ: one of them
// fails with already_exists and succeeds when it is repeated.
func putResource(ctx context.Context, m *server.Management, body any, path ...string) error {
	err := m.Do(ctx, http.MethodPut, body, nil, path...)
	var status *server.StatusError
	if errors.As(err, &status) && status.Status == http.StatusBadRequest && strings.Contains(status.Body, "already_exists") {
		return m.Do(ctx, http.MethodPut, body, nil, path...)
	}
	return err
}

func rabbitMQPermissions(service string) permissions {
	return permissions{Configure: "", Write: `^pgo\.(events|retry\..*|dead)$`, Read: `^` + service + `\.`}
}

// AllInRabbitMQ reports whether the vhost exists and each service has its permissions in it.
func AllInRabbitMQ(ctx context.Context, m *server.Management, vhost string, services []string) (bool, error) {
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
		want := rabbitMQPermissions(name)
		want.User = name
		if found[name] != want {
			return false, nil
		}
	}
	return true, nil
}
