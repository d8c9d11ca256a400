package manager

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/supervise"
)

const (
	maxBody  = 8 << 20
	longPoll = 20 * time.Second
)

// handler is the control API. Only the owner of the home reaches it, so it asks for no proof. down is called when
// everything has been stopped by request, leave when the manager is to make room for the next.
func (m *Manager) handler(down, leave func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/info", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, m.info())
	})
	mux.HandleFunc("GET /v1/processes", func(w http.ResponseWriter, _ *http.Request) {
		c, _ := m.deps.Store.Changes(0)
		m.meter.Fill(c.Processes)
		answer(w, c.Processes)
	})
	mux.HandleFunc("GET /v1/changes", m.changes)
	mux.HandleFunc("GET /v1/describe", m.describe)
	mux.HandleFunc("POST /v1/apply", func(w http.ResponseWriter, r *http.Request) {
		var ask control.ApplyRequest
		if take(w, r, &ask) {
			m.did(w, m.Apply(ask.File))
		}
	})
	mux.HandleFunc("POST /v1/plan", func(w http.ResponseWriter, r *http.Request) {
		var ask control.ApplyRequest
		if take(w, r, &ask) {
			answer(w, m.Plan(ask.File))
		}
	})
	for verb, do := range map[string]func([]string) error{
		"start": m.Start, "stop": m.Stop, "restart": m.Restart, "reload": m.Reload, "delete": m.Delete, "flush": m.Flush,
	} {
		mux.HandleFunc("POST /v1/"+verb, func(w http.ResponseWriter, r *http.Request) {
			var ask control.NamesRequest
			if take(w, r, &ask) {
				m.deps.Log.Info("command", "command", verb, "names", ask.Names)
				m.did(w, do(ask.Names))
			}
		})
	}
	mux.HandleFunc("POST /v1/scale", func(w http.ResponseWriter, r *http.Request) {
		var ask control.ScaleRequest
		if take(w, r, &ask) {
			m.deps.Log.Info("command", "command", "scale", "name", ask.Name, "instances", ask.Instances)
			m.did(w, m.Scale(ask.Name, ask.Instances))
		}
	})
	mux.HandleFunc("POST /v1/rollback", func(w http.ResponseWriter, r *http.Request) {
		var ask control.RollbackRequest
		if take(w, r, &ask) {
			m.deps.Log.Info("command", "command", "rollback", "name", ask.Name, "release", ask.Release)
			m.did(w, m.deployer.RollBack(ask))
		}
	})
	mux.HandleFunc("GET /v1/deployables", func(w http.ResponseWriter, r *http.Request) {
		all, err := m.deployer.Deployables(r.Context())
		if err != nil {
			refuse(w, http.StatusConflict, err)
			return
		}
		answer(w, all)
	})
	mux.HandleFunc("POST /v1/rollout", func(w http.ResponseWriter, r *http.Request) {
		var ask control.RolloutRequest
		if take(w, r, &ask) {
			m.deps.Log.Info("command", "command", ask.Entry.Kind, "id", ask.Entry.ID, "by", ask.Entry.User, "processes", len(ask.Entry.Changes))
			m.rollOut(w, r, ask)
		}
	})
	mux.HandleFunc("POST /v1/signal", func(w http.ResponseWriter, r *http.Request) {
		var ask control.SignalRequest
		if take(w, r, &ask) {
			m.deps.Log.Info("command", "command", "signal", "names", ask.Names, "signal", ask.Signal)
			m.did(w, m.Signal(ask.Names, ask.Signal))
		}
	})
	mux.HandleFunc("POST /v1/upgrade", func(w http.ResponseWriter, r *http.Request) {
		var ask control.UpgradeRequest
		if !take(w, r, &ask) {
			return
		}
		m.deps.Log.Info("command", "command", "upgrade", "program", ask.Program)
		err := m.Upgrade(ask.Program)
		m.did(w, err)
		if err == nil {
			leave()
		}
	})
	mux.HandleFunc("POST /v1/down", func(w http.ResponseWriter, _ *http.Request) {
		m.deps.Log.Info("command", "command", "down")
		m.Down()
		m.did(w, nil)
		down()
	})
	return mux
}

// rollOut answers with a line for each step.
func (m *Manager) rollOut(w http.ResponseWriter, r *http.Request, ask control.RolloutRequest) {
	w.Header().Set("Content-Type", "application/json")
	say := func(p control.Progress) {
		_ = json.NewEncoder(w).Encode(p) // where nobody listens any more the request's context has ended
		_ = http.NewResponseController(w).Flush()
	}
	entry := m.deployer.RollOut(r.Context(), ask, say)
	say(control.Progress{Result: &entry})
}

// describe answers with all that is known of processes, and none of their secrets.
func (m *Manager) describe(w http.ResponseWriter, r *http.Request) {
	chosen, err := m.set.Choose([]string{r.FormValue("name")})
	if err != nil {
		refuse(w, http.StatusConflict, err)
		return
	}
	c, _ := m.deps.Store.Changes(0)
	m.meter.Fill(c.Processes)
	all := []control.Description{}
	for _, name := range supervise.SortedNames(chosen) {
		d := control.Description{Spec: chosen[name].Spec(), Rows: []control.Process{}}
		d.Spec.Env = masked(d.Spec.Env)
		for _, p := range c.Processes {
			if p.Name == name {
				d.Rows = append(d.Rows, p)
			}
		}
		all = append(all, d)
	}
	answer(w, all)
}

// masked hides every value that its name does not show to be harmless: a secret that is shown once is one no more.
func masked(env map[string]string) map[string]string {
	shown := map[string]string{}
	for key, value := range env {
		if !harmless(key) {
			value = "***"
		}
		shown[key] = value
	}
	return shown
}

func harmless(key string) bool {
	for _, end := range []string{"_FILE", "_ADDR", "_PORT", "_HTTP", "_DIR", "_HOME", "_PATH", "__ADDR"} {
		if strings.HasSuffix(key, end) {
			return true
		}
	}
	return false
}

// changes answers at once when there is an event after the one named, else when there is one or after a while.
func (m *Manager) changes(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(r.FormValue("after"), 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, errors.New("after: expected the number of an event"))
		return
	}
	timeout := time.NewTimer(longPoll)
	defer timeout.Stop()
	for {
		c, changed := m.deps.Store.Changes(after)
		if c.Seq > after {
			answer(w, c)
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			answer(w, c)
			return
		case <-m.set.Ended():
			answer(w, c)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// did answers a command with how things stand, all events included that are kept.
func (m *Manager) did(w http.ResponseWriter, err error) {
	if err != nil {
		refuse(w, http.StatusConflict, err)
		return
	}
	c, _ := m.deps.Store.Changes(0)
	answer(w, c)
}

func decode(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func take(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(control.Failure{Error: err.Error()}) // a reader that went away misses it
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}
