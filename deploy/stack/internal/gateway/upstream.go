package gateway

import (
	"fmt"
	"strings"
)

// Upstream holds the addresses under which the gateway reaches a service.
type Upstream struct {
	Servers []string `yaml:"servers"` // HOST:PORT, optionally with nginx's parameters: "10.0.0.7:8081 weight=3"
	Balance string   `yaml:"balance"` // "" is round robin by weight; "ip_hash" and "least_conn" are nginx's methods
	Resolve bool     `yaml:"-"`       // resolve the names while nginx runs, since addresses change
}

// serverLines returns the body of an upstream block.
func (u Upstream) serverLines() (string, error) {
	if len(u.Servers) == 0 {
		return "", fmt.Errorf("no server")
	}
	var lines []string
	switch u.Balance {
	case "":
	case "ip_hash", "least_conn":
		lines = append(lines, u.Balance+";")
	default:
		return "", fmt.Errorf("balance %q: expected nothing, ip_hash or least_conn", u.Balance)
	}
	list, failure := u.Servers, "max_fails=2 fail_timeout=2s"
	if len(list) == 1 {
		// The template has the reason.
		list, failure = append(list[:1:1], list[0]), "max_fails=0"
	}
	for _, server := range list {
		if strings.ContainsAny(server, ";{}\n\"") || strings.TrimSpace(server) == "" {
			return "", fmt.Errorf("%q is not a server", server)
		}
		line := "server " + server + " " + failure
		if u.Resolve {
			line += " resolve"
		}
		lines = append(lines, line+";")
	}
	return strings.Join(lines, "\n    "), nil
}
