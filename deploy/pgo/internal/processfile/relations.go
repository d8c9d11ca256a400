package processfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// checkProcesses checks the processes against each other, and returns all errors. nodes is the mapping of all processes in the file.
func (d decoder) checkProcesses(f File, nodes *yaml.Node) error {
	var failed error
	addrs := map[string]string{} // address to the name of its process
	for _, p := range f.Processes {
		failed = errors.Join(failed, d.checkAfter(p, nodes))
		for _, l := range p.Listeners {
			at := placeOf(nodes, p.Name, "listeners", l.Name)
			other, taken := addrs[l.Addr]
			switch {
			case strings.HasSuffix(l.Addr, ":0"):
			case taken:
				failed = errors.Join(failed, d.newError(at, "%s is already a listener of %s", l.Addr, other))
			case l.Addr == f.HTTP.Addr:
				failed = errors.Join(failed, d.newError(at, "%s is pgo's own http already", f.HTTP.Addr))
			}
			addrs[l.Addr] = p.Name
		}
	}
	if failed != nil {
		return failed
	}
	if cycle := findCycle(f.Processes); cycle != nil {
		return d.newError(placeOf(nodes, cycle[0], "after"), "waits in a circle: %s", strings.Join(cycle, " → "))
	}
	return nil
}

// checkAfter checks that a process waits for other processes of the file, once for each.
func (d decoder) checkAfter(p Process, nodes *yaml.Node) error {
	var failed error
	at := placeOf(nodes, p.Name, "after")
	for i, name := range p.After {
		item := place{node: at.node.Content[i], key: at.key}
		other, _ := findKey(nodes, name)
		switch {
		case name == p.Name:
			failed = errors.Join(failed, d.newError(item, "a process cannot wait for itself"))
		case slices.Contains(p.After[:i], name):
			failed = errors.Join(failed, d.newError(item, "%s is there twice", name))
		case other == nil:
			failed = errors.Join(failed, d.newError(item, "there is no process %q", name))
		}
	}
	return failed
}

// placeOf returns the place that a path of keys below processes leads to.
func placeOf(nodes *yaml.Node, path ...string) place {
	at := place{node: nodes, key: "processes"}
	for _, key := range path {
		name, value := findKey(at.node, key)
		at = place{node: value, key: fmt.Sprintf("%s.%s", at.key, key), name: name}
	}
	return at
}

// findCycle returns the names of processes that wait for each other, the first one again at the end; nil if none do.
func findCycle(processes []Process) []string {
	after := map[string][]string{}
	for _, p := range processes {
		after[p.Name] = p.After
	}
	acyclic := map[string]bool{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if acyclic[name] {
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
		acyclic[name] = true
		return nil
	}
	for _, p := range processes {
		if found := visit(p.Name); found != nil {
			return found
		}
	}
	return nil
}
