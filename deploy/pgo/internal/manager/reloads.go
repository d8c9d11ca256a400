package manager

import (
	"errors"
	"maps"
	"time"

	"pgo/deploy/pgo/internal/web"
)

// reloads count how replacing processes went, by name.
type reloads struct{ counted counted[web.Reloads] }

func newReloads(keep func(string, []byte)) *reloads {
	return &reloads{newCounted[web.Reloads]("reloads/", keep)}
}

// ended counts a reload that was under way. One that a stop has ended is none.
func (r *reloads) ended(name string, err error, took time.Duration) {
	switch {
	case err == nil:
		r.count(name, web.Done, took)
	case !errors.Is(err, errStopped):
		r.count(name, web.Failed, took)
	}
}

func (r *reloads) count(name, result string, took time.Duration) {
	r.counted.change(name, func(of *web.Reloads) {
		of.Count(result)
		if result == web.Done {
			of.Observe(took)
		}
	})
}

// rolledBack counts a release that was gone back from by itself.
func (r *reloads) rolledBack(name string) { r.count(name, web.RolledBack, 0) }

// of returns what was counted of a name.
func (r *reloads) of(name string) (all *web.Reloads) {
	r.counted.look(name, func(of web.Reloads) {
		of.Results = maps.Clone(of.Results)
		all = &of
	})
	return all
}
