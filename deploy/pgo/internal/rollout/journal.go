package rollout

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/home"
)

// Phase is how far a rollout is.
type Phase string

// The phases. A journal without one is of a pgo that knew only the first.
const (
	PhaseSwitching  Phase = "switching"  // a recovery rolls back
	PhaseCommitting Phase = "committing" // a recovery commits
)

// Journal is the part of a rollout that a recovery needs.
type Journal struct {
	Phase Phase                 `json:"phase,omitempty"`
	Entry audit.Entry           `json:"entry"`
	Since time.Time             `json:"since"`
	Files map[string]StagedFile `json:"files,omitempty"` // by process, of pgo's own processes
	PIDs  map[string]int        `json:"pids,omitempty"`  // that ran before, by systemd unit

	path string
}

// ReadJournal returns the journal of a rollout that was interrupted. Its error is os.ErrNotExist where there is none.
func ReadJournal(path string) (*Journal, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	j := &Journal{path: path}
	if err := json.Unmarshal(text, j); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if j.Phase == "" {
		j.Phase = PhaseSwitching
	}
	return j, nil
}

// Remove removes the journal: nothing is left to recover.
func (j *Journal) Remove() { _ = os.Remove(j.path) }

func (j *Journal) write() error {
	text, err := json.Marshal(j)
	if err == nil {
		err = home.ReplaceFile(j.path, text)
	}
	if err != nil {
		return fmt.Errorf("write the journal of the deploy: %w", err)
	}
	return nil
}
