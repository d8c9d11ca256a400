package gate

import (
	"sync"
	"time"
)

// The phases of the gate, in order.
const (
	phaseServers  = "servers"  // wait until MySQL, Redis and RabbitMQ serve
	phaseAccounts = "accounts" // create databases, accounts and the vhost
	phaseBinaries = "binaries" // read versions, migrations and topologies from the services' binaries
	phaseSchemas  = "schemas"  // migrate every schema
	phaseTopology = "topology" // declare exchanges and queues
)

// Snapshot is a copy of the gate's state, as /status returns it.
type Snapshot struct {
	Ready     bool           `json:"ready"` // the gate has passed
	Degraded  []string       `json:"degraded"`
	StartedAt time.Time      `json:"started_at"`
	PassedAt  *time.Time     `json:"passed_at"`
	Phases    []Phase        `json:"phases"`
	Servers   []ServerState  `json:"servers"`
	Services  []ServiceState `json:"services"`
}

// Phase is the state of one phase.
type Phase struct {
	Name       string     `json:"name"`
	State      string     `json:"state"` // pending, running, done or failed
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Seconds    float64    `json:"seconds"`
	Error      string     `json:"error,omitempty"`
}

// ServerState is the result of the last check of a server.
type ServerState struct {
	Name      string     `json:"name"`
	Addr      string     `json:"addr"`
	Up        bool       `json:"up"`
	Since     *time.Time `json:"since"`      // when it became up or down
	CheckedAt *time.Time `json:"checked_at"` // null before the first check
	Error     string     `json:"error,omitempty"`
}

// ServiceState describes a service's binary and its schema.
type ServiceState struct {
	Name           string `json:"name"`
	Binary         string `json:"binary"`
	Version        string `json:"version"`
	Commit         string `json:"commit"`
	SchemaVersion  int64  `json:"schema_version"`
	SchemaExpected int64  `json:"schema_expected"`
	MinCodeSchema  int64  `json:"min_code_schema"`
	SchemaDirty    int64  `json:"schema_dirty"` // the version that is half applied; 0 for none
}

// Status holds the gate's state. It is safe for concurrent use.
type Status struct {
	mu       sync.Mutex
	snapshot Snapshot
}

func newStatus(o Options) *Status {
	s := Snapshot{StartedAt: time.Now().UTC(), Degraded: []string{}, Services: []ServiceState{}}
	for _, name := range []string{phaseServers, phaseAccounts, phaseBinaries, phaseSchemas, phaseTopology} {
		s.Phases = append(s.Phases, Phase{Name: name, State: "pending"})
	}
	s.Servers = []ServerState{
		{Name: "MySQL", Addr: o.Servers.MySQL.Addr}, {Name: "Redis", Addr: o.Servers.Redis.Addr}, {Name: "RabbitMQ", Addr: o.Servers.RabbitMQ.Addr},
	}
	for _, svc := range o.Services {
		s.Services = append(s.Services, ServiceState{Name: svc.Name, Binary: svc.Binary})
	}
	return &Status{snapshot: s}
}

// Snapshot returns a copy of the state.
func (st *Status) Snapshot() Snapshot {
	st.mu.Lock()
	defer st.mu.Unlock()
	out := st.snapshot
	out.Phases = append([]Phase(nil), st.snapshot.Phases...)
	out.Servers = append([]ServerState(nil), st.snapshot.Servers...)
	out.Services = append([]ServiceState{}, st.snapshot.Services...)
	out.Degraded = []string{}
	for i, p := range out.Phases {
		if p.State == "running" {
			out.Phases[i].Seconds = time.Since(*p.StartedAt).Seconds()
		}
	}
	for _, sv := range out.Servers {
		if sv.CheckedAt != nil && !sv.Up {
			out.Degraded = append(out.Degraded, sv.Name)
		}
	}
	return out
}

func (st *Status) startPhase(phase string) {
	st.updatePhase(phase, func(p *Phase) {
		now := time.Now().UTC()
		p.State, p.StartedAt = "running", &now
	})
}

func (st *Status) finishPhase(phase string, err error) {
	st.updatePhase(phase, func(p *Phase) {
		now := time.Now().UTC()
		p.State, p.FinishedAt, p.Seconds = "done", &now, now.Sub(*p.StartedAt).Seconds()
		if err != nil {
			p.State, p.Error = "failed", err.Error()
		}
	})
}

func (st *Status) updatePhase(name string, change func(*Phase)) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for i := range st.snapshot.Phases {
		if st.snapshot.Phases[i].Name == name {
			change(&st.snapshot.Phases[i])
		}
	}
}

func (st *Status) markPassed() {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now().UTC()
	st.snapshot.Ready, st.snapshot.PassedAt = true, &now
}

func (st *Status) updateService(name string, change func(*ServiceState)) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for i := range st.snapshot.Services {
		if st.snapshot.Services[i].Name == name {
			change(&st.snapshot.Services[i])
		}
	}
}

// recordProbe records the result of a check while the gate waits for the servers.
func (st *Status) recordProbe(name string, err error) { st.recordCheck(name, err) }

// recordCheck records the result of a check and reports whether the server went up or down.
func (st *Status) recordCheck(name string, err error) (changed bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now().UTC()
	for i := range st.snapshot.Servers {
		s := &st.snapshot.Servers[i]
		if s.Name != name {
			continue
		}
		changed = s.CheckedAt == nil || s.Up != (err == nil)
		if changed {
			s.Since = &now
		}
		s.CheckedAt, s.Up, s.Error = &now, err == nil, ""
		if err != nil {
			s.Error = err.Error()
		}
	}
	return changed
}
