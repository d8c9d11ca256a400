package cmd

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"pgo/deploy/pgo/internal/control"
)

// selector selects processes by name.
type selector func(all []control.Process, names []string) []control.Process

// selectNamed returns the processes that names match. A name may be a pattern of path.Match, and all matches every process.
func selectNamed(all []control.Process, names []string) []control.Process {
	var selected []control.Process
	for _, p := range all {
		if matchesAny(names, p.Name) {
			selected = append(selected, p)
		}
	}
	return selected
}

// checkNames returns an error if a name matches no process.
func checkNames(all []control.Process, names []string) error {
	for _, name := range names {
		if name == "all" || len(selectNamed(all, []string{name})) > 0 {
			continue
		}
		known := map[string]bool{}
		for _, p := range all {
			known[p.Name] = true
		}
		return fmt.Errorf("there is no process %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	return nil
}

// selectWithDependencies returns the processes that names match, and all that they start after.
func selectWithDependencies(all []control.Process, names []string) []control.Process {
	needed := map[string]bool{}
	queue := []string{}
	for _, p := range selectNamed(all, names) {
		queue = append(queue, p.Name)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, p := range all {
			if p.Name == queue[0] && !needed[p.Name] {
				queue = append(queue, p.After...)
			}
		}
		needed[queue[0]] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(p control.Process) bool { return !needed[p.Name] })
}

// matchesAny reports whether one of names, which may be patterns, matches the process.
func matchesAny(names []string, process string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		match, err := path.Match(name, process)
		return name == "all" || err == nil && match
	})
}
