package manager

import (
	"errors"
	"reflect"
	"sync"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// process is all instances of one name.
type process struct {
	host     *host
	name     string
	versions versionCache

	mu        sync.Mutex
	spec      processfile.Process
	shared    map[string]listener // by name
	instances []*instance
	rolling   bool           // a reload is under way
	anew      bool           // and another one was asked for meanwhile
	awaiting  []chan<- error // who wants to know how it went
	chosen    copied         // what the next start runs, where the process is watched
	unfit     error          // why there is none
	trial     *trial         // of the release that runs; nil once it has proven itself

	holding int // deployments that are not through when the instances are replaced

	deploying sync.Mutex // one change of what is chosen at a time
}

func newProcess(h *host, spec processfile.Process, shared map[string]listener) *process {
	p := &process{host: h, name: spec.Name, spec: spec, shared: shared}
	for n := range spec.Instances {
		p.instances = append(p.instances, newInstance(p, n))
	}
	return p
}

// current is how the process is to be started.
func (p *process) current() processfile.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec
}

// what is all that the next start needs.
func (p *process) what() (processfile.Process, map[string]listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec, p.shared
}

// program is what the next start runs: nothing where the process is not watched, an error where nothing fits.
func (p *process) program() (copied, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.spec.Watch.Enabled:
		return copied{}, nil
	case p.chosen.sum == "" && p.unfit == nil:
		return copied{}, errors.New("nothing that may run was deployed yet")
	case p.chosen.sum == "":
		return copied{}, p.unfit
	}
	return p.chosen, nil
}

// choose changes what is run from the next start on.
func (p *process) choose(c copied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chosen, p.unfit = c, nil
	p.point(c)
}

// update changes how the process is started from now on. Instances beyond the number are left to the caller.
func (p *process) update(spec processfile.Process, shared map[string]listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec, p.shared = spec, shared
}

// revert goes back to what runs, after a new one has shown that it does not.
func (p *process) revert(spec processfile.Process, c copied) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.sum != "" {
		p.chosen = c
		p.point(c)
	}
	spec.Instances = p.spec.Instances
	for _, l := range spec.Listeners {
		if _, open := p.shared[l.Name]; !l.PerInstance && !open {
			return // what it listened on is closed: it cannot be started as it was
		}
	}
	p.spec = spec
}

func (p *process) all() []*instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*instance(nil), p.instances...)
}

func (p *process) start() {
	for _, i := range p.all() {
		i.start()
	}
}

// startUndone starts what does not run, but not again what has run to its end.
func (p *process) startUndone() {
	for _, i := range p.all() {
		if !i.process.host.board.Get(i.slot).Done {
			i.start()
		}
	}
}

func (p *process) each(do func(*instance)) {
	var all sync.WaitGroup
	for _, i := range p.all() {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

func (p *process) stop()  { p.each((*instance).stop) }
func (p *process) close() { p.each((*instance).close) }

// resize changes the number of instances and returns those that are too many, which the caller closes.
func (p *process) resize(n int) (extra []*instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec.Instances = n
	for len(p.instances) < n {
		p.instances = append(p.instances, newInstance(p, len(p.instances)))
	}
	extra = append(extra, p.instances[n:]...)
	p.instances = p.instances[:n]
	return extra
}

// differs tells whether something runs otherwise than the spec says.
func (p *process) differs(spec processfile.Process) bool {
	for _, i := range p.all() {
		runs := p.current()
		if k := i.runs(); k != nil {
			runs = k.spec
		}
		if !same(runs, spec) {
			return true
		}
	}
	return false
}

// same compares what a running process was started with: how many there are, and when its log is rotated, it does not
// notice.
func same(a, b processfile.Process) bool {
	a.Instances, b.Instances = 0, 0
	a.Watch, b.Watch = processfile.Watch{Enabled: a.Watch.Enabled}, processfile.Watch{Enabled: b.Watch.Enabled}
	a.CheckArgs, b.CheckArgs, a.PlanArgs, b.PlanArgs = nil, nil, nil, nil
	a.Limits.Memory, b.Limits.Memory = 0, 0
	split := [2]bool{a.Logs.Split, b.Logs.Split}
	a.Logs, b.Logs = processfile.Logs{}, processfile.Logs{}
	return split[0] == split[1] && reflect.DeepEqual(a, b)
}

// reload replaces the instances one by one, in the background. Where one does not work out the others stay as they
// are. One that is asked for during another follows it.
func (p *process) reload() { p.reloadAnd(nil) }

// replaced replaces the instances and returns how that went.
func (p *process) replaced() error {
	answer := make(chan error, 1)
	p.reloadAnd(answer)
	return <-answer
}

func (p *process) reloadAnd(tell chan<- error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if tell != nil {
		p.awaiting = append(p.awaiting, tell)
	}
	for _, i := range p.instances {
		i.process.host.board.Update(i.slot, func(r *state.Record) {
			if r.Wanted {
				r.Process.ReloadPending, r.Process.ReloadFailure, r.Process.LastLines = true, "", nil
			}
		})
	}
	if p.rolling {
		p.anew = true
		return
	}
	p.rolling = true
	go p.roll()
}

func (p *process) roll() {
	for {
		var err error
		for _, i := range p.all() {
			if err = i.replace(); err != nil {
				break
			}
		}
		if !p.rollAgain(err) {
			return
		}
	}
}

// rollAgain tells whether another reload was asked for during one that worked out.
func (p *process) rollAgain(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	again := p.anew && err == nil
	p.anew, p.rolling = false, again
	if !again {
		p.showThrough()
		for _, answer := range p.awaiting {
			answer <- err
		}
		p.awaiting = nil
	}
	return again
}

// hold has a reload show as under way until letGo.
func (p *process) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding++
}

func (p *process) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding--
	if !p.rolling {
		p.showThrough()
	}
}

// showThrough shows that no reload is under way, if so. Its caller has the lock.
func (p *process) showThrough() {
	if p.holding > 0 {
		return
	}
	for _, i := range p.instances {
		if i.process.host.board.Get(i.slot).Process.ReloadPending {
			i.process.host.board.Update(i.slot, func(r *state.Record) { r.Process.ReloadPending = false })
		}
	}
}

// rows are the process's instances as they are first shown.
func (p *process) rows() []control.Process {
	spec, shared := p.what()
	var rows []control.Process
	for n := range spec.Instances {
		row := control.Process{
			Name: spec.Name, Instance: n, Instances: spec.Instances, Kind: spec.Kind, After: spec.After, Listeners: map[string]string{},
		}
		if row.After == nil {
			row.After = []string{}
		}
		for _, l := range spec.Listeners {
			row.Listeners[l.Name] = shared[l.Name].addr // one of its own has none yet
		}
		rows = append(rows, row)
	}
	return rows
}
