package gate

import (
	"sync"
	"time"
)

// Phases of the chain, in order.
const (
	phaseServers  = "servers"  // log in to MySQL, Redis and RabbitMQ
	phaseAccounts = "accounts" // databases, accounts, vhost
	phaseBinaries = "binaries" // read what the services' binaries bring
	phaseSchemas  = "schemas"  // migrate
	phaseTopology = "topology" // exchanges and queues
)

// Snapshot is what /status shows.
type Snapshot struct {
	Ready     bool           `json:"ready"` // the chain has passed
	Degraded  []string       `json:"degraded"`
	StartedAt time.Time      `json:"started_at"`
	PassedAt  *time.Time     `json:"passed_at"`
	Phases    []Phase        `json:"phases"`
	Servers   []ServerState  `json:"servers"`
	Services  []ServiceState `json:"services"`
}

// Phase is one step of the chain.
type Phase struct {
	Name       string     `json:"name"`
	State      string     `json:"state"` // pending, running, done or failed
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Seconds    float64    `json:"seconds"`
	Error      string     `json:"error,omitempty"`
}

// ServerState is what the last look at a server found.
type ServerState struct {
	Name      string     `json:"name"`
	Addr      string     `json:"addr"`
	Up        bool       `json:"up"`
	Since     *time.Time `json:"since"`      // up or away without a break
	CheckedAt *time.Time `json:"checked_at"` // null: not yet
	Error     string     `json:"error,omitempty"`
}

// ServiceState is a service's binary and its schema.
type ServiceState struct {
	Name           string `json:"name"`
	Binary         string `json:"binary"`
	Version        string `json:"version"`
	Commit         string `json:"commit"`
	SchemaVersion  int64  `json:"schema_version"`
	SchemaExpected int64  `json:"schema_expected"`
	MinCodeSchema  int64  `json:"min_code_schema"`
	SchemaDirty    int64  `json:"schema_dirty"` // the version that is half applied, 0 for none
}

// Status is the gate's state, safe for concurrent use.
type Status struct {
	mu sync.Mutex
	s  Snapshot
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
	return &Status{s: s}
}

// Snapshot returns a copy.
func (st *Status) Snapshot() Snapshot {
	st.mu.Lock()
	defer st.mu.Unlock()
	out := st.s
	out.Phases = append([]Phase(nil), st.s.Phases...)
	out.Servers = append([]ServerState(nil), st.s.Servers...)
	out.Services = append([]ServiceState{}, st.s.Services...)
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

func (st *Status) begin(phase string) {
	st.phase(phase, func(p *Phase) {
		now := time.Now().UTC()
		p.State, p.StartedAt = "running", &now
	})
}

func (st *Status) end(phase string, err error) {
	st.phase(phase, func(p *Phase) {
		now := time.Now().UTC()
		p.State, p.FinishedAt, p.Seconds = "done", &now, now.Sub(*p.StartedAt).Seconds()
		if err != nil {
			p.State, p.Error = "failed", err.Error()
		}
	})
}

func (st *Status) phase(name string, change func(*Phase)) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for i := range st.s.Phases {
		if st.s.Phases[i].Name == name {
			change(&st.s.Phases[i])
		}
	}
}

func (st *Status) passed() {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now().UTC()
	st.s.Ready, st.s.PassedAt = true, &now
}

func (st *Status) service(name string, change func(*ServiceState)) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for i := range st.s.Services {
		if st.s.Services[i].Name == name {
			change(&st.s.Services[i])
		}
	}
}

// seen notes what a look at a server found.
func (st *Status) seen(name string, err error) { st.look(name, err) }

// look notes what a look at a server found and says whether that is a change.
func (st *Status) look(name string, err error) (changed bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now().UTC()
	for i := range st.s.Servers {
		s := &st.s.Servers[i]
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
