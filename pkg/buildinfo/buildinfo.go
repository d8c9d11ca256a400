// Package buildinfo reports what a binary was built from.
package buildinfo

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// Set by the linker: -ldflags "-X pgo/pkg/buildinfo.version=... -X pgo/pkg/buildinfo.commit=...".
var (
	version = "dev"
	commit  = ""
	built   = ""
)

// Info describes a binary. Time is the commit's in RFC 3339, empty if unknown. SchemaVersion is the binary's newest
// migration, 0 without a database.
type Info struct {
	Version       string `json:"version"`
	Commit        string `json:"commit"`
	Time          string `json:"time,omitempty"`
	Go            string `json:"go"`
	OS            string `json:"os"`
	Arch          string `json:"arch"`
	SchemaVersion int64  `json:"schema_version"`
}

// Read returns the running binary's Info. Commit falls back to the go command's stamp, then to "unknown".
func Read(schemaVersion int64) Info {
	i := Info{Version: version, Commit: commit, Time: built, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, SchemaVersion: schemaVersion}
	if i.Commit == "" {
		i.Commit = stampedCommit()
	}
	return i
}

// Write prints i for people, or as one JSON object when asJSON is set.
func (i Info) Write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(i)
	}
	_, err := fmt.Fprintf(w, "%s (commit %s, %s, %s/%s, schema %d)\n", i.Version, i.Commit, i.Go, i.OS, i.Arch, i.SchemaVersion)
	return err
}

func stampedCommit() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
