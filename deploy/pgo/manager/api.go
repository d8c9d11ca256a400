package manager

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"pgo/deploy/pgo/control"
)

const (
	maxBody  = 8 << 20
	longPoll = 20 * time.Second
)

// handler is the control API. Only the owner of the home reaches it, so it asks for no proof. down is called when
// everything has been stopped by request.
func (m *Manager) handler(info control.Info, down func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/info", func(w http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		info := info
		info.File = m.file.Path
		m.mu.Unlock()
		answer(w, info)
	})
	mux.HandleFunc("GET /v1/processes", func(w http.ResponseWriter, _ *http.Request) {
		c, _ := m.board.look(0)
		m.meter.fill(c.Processes)
		answer(w, c.Processes)
	})
	mux.HandleFunc("GET /v1/changes", m.changes)
	mux.HandleFunc("POST /v1/apply", func(w http.ResponseWriter, r *http.Request) {
		var ask control.Apply
		if take(w, r, &ask) {
			m.did(w, m.Apply(ask.File))
		}
	})
	for verb, do := range map[string]func([]string) error{"start": m.Start, "stop": m.Stop, "restart": m.Restart} {
		mux.HandleFunc("POST /v1/"+verb, func(w http.ResponseWriter, r *http.Request) {
			var ask control.Names
			if take(w, r, &ask) {
				m.log.Info("command", "command", verb, "names", ask.Names)
				m.did(w, do(ask.Names))
			}
		})
	}
	mux.HandleFunc("POST /v1/down", func(w http.ResponseWriter, _ *http.Request) {
		m.log.Info("command", "command", "down")
		m.Down()
		m.did(w, nil)
		down()
	})
	return mux
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
		c, changed := m.board.look(after)
		if c.Seq > after {
			answer(w, c)
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			answer(w, c)
			return
		case <-m.ended:
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
	c, _ := m.board.look(0)
	answer(w, c)
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
