package manager

import (
	"reflect"
	"sync"

	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/processfile"
)

// process is all instances of one name.
type process struct {
	*host
	name     string
	versions versionCache

	mu        sync.Mutex
	spec      processfile.Process
	shared    map[string]listener // by name
	instances []*instance
	rolling   bool // a reload is under way
	anew      bool // and another one was asked for meanwhile
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

// update changes how the process is started from now on. Instances beyond the number are left to the caller.
func (p *process) update(spec processfile.Process, shared map[string]listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec, p.shared = spec, shared
}

// revert goes back to what runs, after a new one has shown that it does not.
func (p *process) revert(spec processfile.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	spec.Instances = p.spec.Instances
	for _, l := range spec.Listeners {
		if _, open := p.shared[l.Name]; !l.Alone && !open {
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
		if !i.board.get(i.slot).Done {
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
	split := [2]bool{a.Logs.Split, b.Logs.Split}
	a.Logs, b.Logs = processfile.Logs{}, processfile.Logs{}
	return split[0] == split[1] && reflect.DeepEqual(a, b)
}

// reload replaces the instances one by one, in the background. Where one does not work out the others stay as they
// are. One that is asked for during another follows it.
func (p *process) reload() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range p.instances {
		i.board.note(i.slot, func(r *record) {
			if r.Wanted {
				r.Reload, r.NotNew, r.LastWords = true, "", nil
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
		for _, i := range p.instances {
			i.board.note(i.slot, func(r *record) { r.Reload = false })
		}
	}
	return again
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
