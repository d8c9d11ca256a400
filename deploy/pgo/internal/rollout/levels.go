package rollout

import (
	"maps"
	"slices"
)

// SortByLevel sorts targets into levels: each comes after all that it depends on, directly or through processes that are
// no targets. after returns what a process comes after; the dependencies have no circle.
func SortByLevel(targets []Target, after func(process string) []string) [][]Target {
	isTarget := map[string]bool{}
	for _, t := range targets {
		isTarget[t.Name()] = true
	}
	known := map[string]int{}
	var depth func(process string) int
	depth = func(process string) int {
		d, ok := known[process]
		if ok {
			return d
		}
		for _, before := range after(process) {
			d = max(d, depth(before))
		}
		if isTarget[process] {
			d++
		}
		known[process] = d
		return d
	}
	byDepth := map[int][]Target{}
	for _, t := range targets {
		d := depth(t.Name())
		byDepth[d] = append(byDepth[d], t)
	}
	var levels [][]Target
	for _, d := range slices.Sorted(maps.Keys(byDepth)) {
		levels = append(levels, byDepth[d])
	}
	return levels
}
