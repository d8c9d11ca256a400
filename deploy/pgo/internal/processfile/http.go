package processfile

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// defaultHTTP is where pgo's own HTTP is without a word in the file.
const defaultHTTP = "127.0.0.1:9900"

// HTTP is pgo's own: metrics, service discovery and what is known of processes. Nothing is controlled through it.
type HTTP struct {
	Addr     string   `json:"addr"`            // IP:port; port 0 is a free one; empty: there is none
	Hosts    []string `json:"hosts,omitempty"` // names it is reached by, beside localhost and IP addresses
	PM2Names bool     `json:"pm2,omitempty"`   // its metrics are there a second time, with the names of pm2-prom-module
}

// Listener is pgo's own, as if it were one of a process; pgo is no name of a process.
func (h HTTP) Listener() Listener { return Listener{Name: "http", Addr: h.Addr} }

// OwnerPgo is the name in whose place pgo's own listener stands.
const OwnerPgo = "pgo"

// EachListener are all that the file asks for, pgo's own first, by the name of who has them.
func (f File) EachListener(each func(owner string, l Listener) error) error {
	if f.HTTP.Addr != "" {
		if err := each(OwnerPgo, f.HTTP.Listener()); err != nil {
			return err
		}
	}
	for _, p := range f.Processes {
		for _, l := range p.Listeners {
			if err := each(p.Name, l); err != nil {
				return err
			}
		}
	}
	return nil
}

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func (r reader) http(into *HTTP) field {
	host := func(at place) error {
		var name string
		if err := r.text(at, &name); err != nil {
			return err
		}
		if !hostName.MatchString(name) {
			return r.fail(at, "expected a host's name in small letters, without a port, found %q", name)
		}
		into.Hosts = append(into.Hosts, name)
		return nil
	}
	known := fields{
		"addr": r.ownAddress(&into.Addr).says("IP:port; port 0 is a free one. Empty: there is none."),
		"hosts": field{func(at place) error { return r.list(at, host) }, map[string]any{"type": "array", "items": map[string]any{"type": "string"}}}.
			says("Names that it is reached by, beside localhost and IP addresses; others are refused."),
		"pm2_names": r.flag(&into.PM2Names).says("Metrics also with the names of pm2-prom-module: default false."),
	}
	return field{func(at place) error {
		if at.node.Kind == yaml.MappingNode {
			return r.fields(at, known)
		}
		return known["addr"].read(at)
	}, map[string]any{"oneOf": []any{map[string]any{"type": "string"}, known.form()}}}.
		says("pgo's own: metrics, service discovery, a read-only API. Default " + defaultHTTP + "; empty: none.")
}

// ownAddress is an address, or nothing.
func (r reader) ownAddress(into *string) field {
	address := r.address(true, into)
	return field{func(at place) error {
		var s string
		if err := r.text(at, &s); err != nil {
			return err
		}
		if s == "" {
			*into = ""
			return nil
		}
		return address.read(at)
	}, address.form}
}

// alone checks that pgo's own listener is no process's as well.
func (r reader) alone(f File, nodes map[string]*yaml.Node) error {
	for _, p := range f.Processes {
		i := slices.IndexFunc(p.Listeners, func(l Listener) bool {
			return l.Addr == f.HTTP.Addr && !strings.HasSuffix(l.Addr, ":0")
		})
		if i < 0 {
			continue
		}
		name := p.Listeners[i].Name
		node := value(value(nodes[p.Name], "listeners"), name)
		return r.fail(place{node: node, key: "processes." + p.Name + ".listeners." + name}, "%s is pgo's own http already", f.HTTP.Addr)
	}
	return nil
}
