// Package audit is the log of all deploys to a host and their results: one JSON object a line, append-only.
package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/release"
)

// Result is the outcome of a deploy.
type Result string

// The results. Their values are part of the log's format.
const (
	Done          Result = "done"
	Refused       Result = "refused"      // nothing that runs was touched
	RolledBack    Result = "put back"     // it failed, and the previous releases run again
	NotRolledBack Result = "not put back" // it failed, and not every process could be rolled back
)

// The kinds of an entry.
const (
	KindDeploy   = "deploy"
	KindRollback = "rollback"
)

// Entry is one line of the log: one deploy or rollback.
type Entry struct {
	ID          string    `json:"id"`
	Ended       time.Time `json:"ended"`
	Kind        string    `json:"kind"` // KindDeploy or KindRollback
	User        string    `json:"by"`   // as authenticated by the host
	Addr        string    `json:"from"` // address the request came from
	ClaimedUser string    `json:"claims,omitempty"`
	Changes     []Change  `json:"set"`
	Result      Result    `json:"result"`
	Reason      string    `json:"why,omitempty"`
	Seconds     float64   `json:"seconds"`
}

// Change is the actual or intended change of one process.
type Change struct {
	Process string  `json:"process"`
	From    Release `json:"from"`
	To      Release `json:"to"`
}

// Release identifies one version of a program.
type Release struct {
	SHA256  string `json:"sha256,omitempty"`
	Version string `json:"version,omitempty"`
}

// String returns the version and the short SHA-256, or "nothing" if there was no release.
func (r Release) String() string {
	short := release.ShortSum(r.SHA256)
	switch {
	case short == "":
		return "nothing"
	case r.Version == "":
		return short
	}
	return r.Version + " (" + short + ")"
}

// Log is the path of the log file.
type Log string

// Append adds an entry and syncs it to disk. Lines of concurrent writers do not mix.
func (l Log) Append(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	f, err := os.OpenFile(string(l), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	// A full disk may have cut off the previous line; this one must not continue it.
	if last := make([]byte, 1); endsMidLine(f, last) {
		line = append([]byte("\n"), line...)
	}
	_, err = f.Write(append(line, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

func endsMidLine(f *os.File, last []byte) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// List returns all entries, the latest first. It skips damaged lines.
func (l Log) List() ([]Entry, error) {
	f, err := os.Open(string(l))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer f.Close()
	var all []Entry
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		var e Entry
		if len(bytes.TrimSpace(line)) > 0 && json.Unmarshal(line, &e) == nil {
			all = append(all, e)
		}
		if errors.Is(err, io.EOF) {
			slices.Reverse(all)
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
	}
}

// Find returns the entry of the deploy with that ID.
func (l Log) Find(id string) (Entry, bool, error) {
	all, err := l.List()
	if i := slices.IndexFunc(all, func(e Entry) bool { return e.ID == id }); i >= 0 {
		return all[i], true, err
	}
	return Entry{}, false, err
}
