package processfile

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// together checks what processes say of each other. nodes are the processes' own entries in the file.
func (r reader) together(f File, nodes map[string]*yaml.Node) error {
	addrs := map[string]string{}
	for _, p := range f.Processes {
		for i, name := range p.After {
			at := place{node: value(nodes[p.Name], "after").Content[i], key: "processes." + p.Name + ".after"}
			switch {
			case name == p.Name:
				return r.fail(at, "a process cannot wait for itself")
			case slices.Contains(p.After[:i], name):
				return r.fail(at, "%s is there twice", name)
			case nodes[name] == nil:
				return r.fail(at, "there is no process %q", name)
			}
		}
		for _, l := range p.Listeners {
			node := value(value(nodes[p.Name], "listeners"), l.Name)
			if other, taken := addrs[l.Addr]; taken && !strings.HasSuffix(l.Addr, ":0") {
				return r.fail(place{node: node, key: "processes." + p.Name + ".listeners." + l.Name}, "%s is already a listener of %s", l.Addr, other)
			}
			addrs[l.Addr] = p.Name
		}
	}
	if err := r.alone(f, nodes); err != nil {
		return err
	}
	if circle := cycle(f.Processes); circle != nil {
		at := place{node: value(nodes[circle[0]], "after"), key: "processes." + circle[0] + ".after"}
		return r.fail(at, "waits in a circle: %s", strings.Join(circle, " → "))
	}
	return nil
}

func value(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// cycle returns the names of processes that wait for each other, the first one again at the end; nil where none do.
func cycle(processes []Process) []string {
	after := map[string][]string{}
	for _, p := range processes {
		after[p.Name] = p.After
	}
	cleared := map[string]bool{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if cleared[name] {
			return nil
		}
		if i := slices.Index(path, name); i >= 0 {
			return append(slices.Clone(path[i:]), name)
		}
		path = append(path, name)
		for _, next := range after[name] {
			if found := visit(next); found != nil {
				return found
			}
		}
		path = path[:len(path)-1]
		cleared[name] = true
		return nil
	}
	for _, p := range processes {
		if found := visit(p.Name); found != nil {
			return found
		}
	}
	return nil
}
