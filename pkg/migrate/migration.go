// Package migrate brings a MySQL or MariaDB schema to where the code expects it.
//
// It reads goose's SQL file format and runs the Up sections with a runner of its own: one lock on one pinned
// connection, a journal of statements (intent before, done after), and checksums. A run that is interrupted
// anywhere is continued by the next one, and no statement is run twice. Down sections are read and never run.
package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Migration is one file.
type Migration struct {
	Version       int64       // the number at the start of the file's name, 1 or more
	File          string      // the file's name
	MinCodeSchema int64       // the oldest code that supports this schema, by its schema version; 0: any
	Checksum      string      // of what runs: MinCodeSchema and the statements, not the comments between them
	Statements    []Statement // of the Up section, at least one
}

// Statement is one SQL statement of an Up section, or a block of several that are run as one unit.
type Statement struct {
	Number int    // from 1
	Line   int    // where it starts in its file
	SQL    string // without comments before it
	Verify string // a SELECT that returns a row once the statement is done, and none before; empty when the file has none
	Once   bool   // the file marks it with "-- once": after an interruption a person decides
	Hash   string // SHA-256 of SQL, in hex

	parts  []string // the statements of a block that has several
	effect effect
}

// SyntaxError is a migration file that cannot be read.
type SyntaxError struct {
	File   string
	Line   int // 0 when it is about the file as a whole
	Reason string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}

// maxFile bounds a file's size in bytes.
const maxFile = 4 << 20

var fileName = regexp.MustCompile(`^([0-9]{1,18})_[A-Za-z0-9][A-Za-z0-9_.-]*\.sql$`)

// Read reads every *.sql file at the top of fsys, ordered by version. Gaps between versions are allowed.
// A file that cannot be read as a migration is a *SyntaxError. No file at all is an empty result.
func Read(fsys fs.FS) ([]Migration, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var ms []Migration
	for _, e := range entries {
		if e.IsDir() || path.Ext(e.Name()) != ".sql" {
			continue
		}
		m, err := readFile(fsys, e.Name())
		if err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
	sort.Slice(ms, func(i, j int) bool { return ms[i].Version < ms[j].Version })
	for i := 1; i < len(ms); i++ {
		if ms[i].Version == ms[i-1].Version {
			return nil, &SyntaxError{File: ms[i].File, Reason: fmt.Sprintf("version %d is also the version of %s", ms[i].Version, ms[i-1].File)}
		}
	}
	return ms, nil
}

// Latest returns the newest version of ms, 0 when there is none.
func Latest(ms []Migration) int64 {
	var v int64
	for _, m := range ms {
		v = max(v, m.Version)
	}
	return v
}

func readFile(fsys fs.FS, name string) (Migration, error) {
	found := fileName.FindStringSubmatch(name)
	if found == nil {
		return Migration{}, &SyntaxError{File: name, Reason: "expected a name like 00012_add_users.sql"}
	}
	version, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil || version < 1 {
		return Migration{}, &SyntaxError{File: name, Reason: "expected a version of 1 or more at the start of the name"}
	}
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return Migration{}, fmt.Errorf("read migration %s: %w", name, err)
	}
	if len(text) > maxFile {
		return Migration{}, &SyntaxError{File: name, Reason: fmt.Sprintf("expected at most %d bytes, got %d", maxFile, len(text))}
	}
	m, err := parseFile(name, string(text))
	if err != nil {
		return Migration{}, err
	}
	if m.MinCodeSchema > version {
		return Migration{}, &SyntaxError{File: name, Reason: fmt.Sprintf("min_code_schema %d is newer than this migration itself", m.MinCodeSchema)}
	}
	m.Version = version
	m.Checksum = computeChecksum(m)
	return m, nil
}

func computeChecksum(m Migration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "min_code_schema %d\n", m.MinCodeSchema)
	for _, s := range m.Statements {
		b.WriteString(s.Hash + "\n")
	}
	return hashText(b.String())
}

func hashText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
