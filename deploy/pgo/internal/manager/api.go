package manager

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/supervise"
)

const (
	maxBody  = 8 << 20
	longPoll = 20 * time.Second
)

// newHandler returns the handler of the control API. Only the owner of the home reaches its socket, so it asks for no
// authentication. down is called when everything was stopped by request, leave when the manager is to make room for the
// next.
func (m *Manager) newHandler(down, leave func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/info", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, m.currentInfo())
	})
	mux.HandleFunc("GET /v1/processes", func(w http.ResponseWriter, _ *http.Request) {
		c, _ := m.deps.Store.Changes(0)
		m.meter.fill(c.Processes)
		writeJSON(w, c.Processes)
	})
	mux.HandleFunc("GET /v1/changes", m.handleChanges)
	mux.HandleFunc("GET /v1/describe", m.handleDescribe)
	mux.HandleFunc("POST /v1/apply", func(w http.ResponseWriter, r *http.Request) {
		var ask control.ApplyRequest
		if readRequest(w, r, &ask) {
			m.answerState(w, m.Apply(ask.File))
		}
	})
	mux.HandleFunc("POST /v1/add", func(w http.ResponseWriter, r *http.Request) {
		var ask control.AddRequest
		if readRequest(w, r, &ask) {
			m.deps.Log.Info("command", "command", "add", "name", ask.Process.Name)
			m.answerState(w, m.AddProcess(ask.Process))
		}
	})
	mux.HandleFunc("POST /v1/plan", func(w http.ResponseWriter, r *http.Request) {
		var ask control.ApplyRequest
		if readRequest(w, r, &ask) {
			writeJSON(w, m.Plan(ask.File))
		}
	})
	for verb, do := range map[string]func([]string) error{
		"start": m.Start, "stop": m.Stop, "restart": m.Restart, "reload": m.Reload, "delete": m.Delete, "flush": m.Flush,
	} {
		mux.HandleFunc("POST /v1/"+verb, func(w http.ResponseWriter, r *http.Request) {
			var ask control.NamesRequest
			if readRequest(w, r, &ask) {
				m.deps.Log.Info("command", "command", verb, "names", ask.Names)
				m.answerState(w, do(ask.Names))
			}
		})
	}
	mux.HandleFunc("POST /v1/scale", func(w http.ResponseWriter, r *http.Request) {
		var ask control.ScaleRequest
		if readRequest(w, r, &ask) {
			m.deps.Log.Info("command", "command", "scale", "name", ask.Name, "instances", ask.Instances)
			m.answerState(w, m.Scale(ask.Name, ask.Instances))
		}
	})
	mux.HandleFunc("POST /v1/rollback", func(w http.ResponseWriter, r *http.Request) {
		var ask control.RollbackRequest
		if readRequest(w, r, &ask) {
			m.deps.Log.Info("command", "command", "rollback", "name", ask.Name, "release", ask.Release)
			m.answerState(w, m.deployer.RollBack(ask))
		}
	})
	mux.HandleFunc("GET /v1/deployables", func(w http.ResponseWriter, r *http.Request) {
		all, err := m.deployer.ListDeployables(r.Context())
		if err != nil {
			writeError(w, http.StatusConflict, err)
			return
		}
		writeJSON(w, all)
	})
	mux.HandleFunc("POST /v1/rollout", func(w http.ResponseWriter, r *http.Request) {
		var ask control.RolloutRequest
		if readRequest(w, r, &ask) {
			m.deps.Log.Info("command", "command", ask.Entry.Kind, "id", ask.Entry.ID, "by", ask.Entry.User, "processes", len(ask.Entry.Changes))
			m.handleRollout(w, r, ask)
		}
	})
	mux.HandleFunc("POST /v1/signal", func(w http.ResponseWriter, r *http.Request) {
		var ask control.SignalRequest
		if readRequest(w, r, &ask) {
			m.deps.Log.Info("command", "command", "signal", "names", ask.Names, "signal", ask.Signal)
			m.answerState(w, m.Signal(ask.Names, ask.Signal))
		}
	})
	mux.HandleFunc("POST /v1/upgrade", func(w http.ResponseWriter, r *http.Request) {
		var ask control.UpgradeRequest
		if !readRequest(w, r, &ask) {
			return
		}
		m.deps.Log.Info("command", "command", "upgrade", "program", ask.Program)
		err := m.Upgrade(ask.Program)
		m.answerState(w, err)
		if err == nil {
			leave()
		}
	})
	mux.HandleFunc("POST /v1/down", func(w http.ResponseWriter, _ *http.Request) {
		m.deps.Log.Info("command", "command", "down")
		m.Down()
		m.answerState(w, nil)
		down()
	})
	return mux
}

// handleRollout runs a rollout and answers with one line for each step.
func (m *Manager) handleRollout(w http.ResponseWriter, r *http.Request, ask control.RolloutRequest) {
	w.Header().Set("Content-Type", "application/json")
	say := func(p control.Progress) {
		_ = json.NewEncoder(w).Encode(p) // when the client is gone the context has ended
		_ = http.NewResponseController(w).Flush()
	}
	entry := m.deployer.RollOut(r.Context(), ask, say)
	say(control.Progress{Result: &entry})
}

// handleDescribe answers with all that is known of processes. Secrets are masked, unless show_env is true: only the owner of the
// home and root reach the control socket.
func (m *Manager) handleDescribe(w http.ResponseWriter, r *http.Request) {
	chosen, err := m.set.Choose([]string{r.FormValue("name")})
	if err != nil {
		writeError(w, http.StatusConflict, err)
		return
	}
	c, _ := m.deps.Store.Changes(0)
	m.meter.fill(c.Processes)
	all := []control.Description{}
	for _, name := range supervise.SortedNames(chosen) {
		d := control.Description{Spec: chosen[name].Spec(), Rows: []control.Process{}}
		if r.FormValue("show_env") != "true" {
			d.Spec.Env = processfile.MaskSecrets(d.Spec.Env)
		}
		for _, p := range c.Processes {
			if p.Name == name {
				d.Rows = append(d.Rows, p)
			}
		}
		all = append(all, d)
	}
	writeJSON(w, all)
}

// handleChanges answers when there is an event after the one named, at once or within 20 s; else with none.
func (m *Manager) handleChanges(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(r.FormValue("after"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, errors.New("after: expected the number of an event"))
		return
	}
	timeout := time.NewTimer(longPoll)
	defer timeout.Stop()
	for {
		c, changed := m.deps.Store.Changes(after)
		if c.Seq > after {
			writeJSON(w, c)
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			writeJSON(w, c)
			return
		case <-m.set.Ended():
			writeJSON(w, c)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// answerState answers a command with the state of all processes and all events that are kept.
func (m *Manager) answerState(w http.ResponseWriter, err error) {
	if err != nil {
		writeError(w, http.StatusConflict, err)
		return
	}
	c, _ := m.deps.Store.Changes(0)
	writeJSON(w, c)
}

// decodeStrict decodes JSON and refuses unknown fields.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// readRequest decodes the body of a request. If it cannot, it answers with 400 and returns false.
func readRequest(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return false
	}
	return true
}

func writeError(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(control.Failure{Error: err.Error()}) // a client that is gone misses it
}

func writeJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}
