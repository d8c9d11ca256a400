package gateway

import (
	"fmt"
	"strings"
)

// Upstream is one service as the gateway reaches it.
type Upstream struct {
	Servers []string `yaml:"servers"` // HOST:PORT, with nginx' own words after it where wanted: "10.0.0.7:8081 weight=3"
	Balance string   `yaml:"balance"` // "" takes turns, by weight where that is said; "ip_hash" and "least_conn" are nginx' own
	Resolve bool     `yaml:"-"`       // the names are looked up while it runs, since addresses move
}

// serverLines is the inside of an upstream block.
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
		// The template says why.
		list, failure = append(list[:1:1], list[0]), "max_fails=0"
	}
	for _, server := range list {
		if strings.ContainsAny(server, ";{}\n\"") || strings.TrimSpace(server) == "" {
			return "", fmt.Errorf("%q is no server", server)
		}
		line := "server " + server + " " + failure
		if u.Resolve {
			line += " resolve"
		}
		lines = append(lines, line+";")
	}
	return strings.Join(lines, "\n    "), nil
}
