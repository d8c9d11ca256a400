package viewtest

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// FindDifferences compares the tables of a view with the state of the fake school, and returns a line for each object that
// only one of them has.
func (s *FakeSchool) FindDifferences(db *sql.DB) (string, error) {
	var have []string
	for _, query := range []string{
		"SELECT CONCAT('school ', id, ' ', COALESCE(name, '-'), IF(archived, ' archived', '')) FROM view_schools WHERE deleted = FALSE",
		"SELECT CONCAT('member ', m.school_id, ' ', m.user_id, ' ', m.role) FROM view_school_members m JOIN view_schools s ON s.id = m.school_id WHERE m.removed = FALSE AND s.deleted = FALSE",
		"SELECT CONCAT('class ', id, ' ', school_id, ' ', COALESCE(name, '-'), IF(archived, ' archived', '')) FROM view_classes WHERE deleted = FALSE",
		"SELECT CONCAT('class member ', m.class_id, ' ', m.user_id, ' ', m.role) FROM view_class_members m JOIN view_classes c ON c.id = m.class_id WHERE m.removed = FALSE AND c.deleted = FALSE",
		"SELECT CONCAT('person ', id, ' ', IF(deleted, 'deleted', name)) FROM people",
	} {
		lines, err := queryStrings(db, query)
		if err != nil {
			return "", err
		}
		have = append(have, lines...)
	}
	want := s.expectedLines()
	var out strings.Builder
	for _, line := range have {
		if !slices.Contains(want, line) {
			fmt.Fprintf(&out, "too much: %s\n", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(have, line) {
			fmt.Fprintf(&out, "missing: %s\n", line)
		}
	}
	return out.String(), nil
}

func (s *FakeSchool) expectedLines() []string {
	var all []string
	for id, c := range s.schools {
		all = append(all, fmt.Sprintf("school %s %s%s", id, c.name, describeArchived(c.archived)))
		for user, role := range c.members {
			all = append(all, fmt.Sprintf("member %s %s %s", id, user, role))
		}
	}
	for id, c := range s.classes {
		all = append(all, fmt.Sprintf("class %s %s %s%s", id, c.school, c.name, describeArchived(c.archived)))
		for user, role := range c.members {
			all = append(all, fmt.Sprintf("class member %s %s %s", id, user, role))
		}
	}
	for id, p := range s.people {
		name := p.name
		if p.deleted {
			name = "deleted"
		}
		all = append(all, fmt.Sprintf("person %s %s", id, name))
	}
	return all
}

func describeArchived(archived bool) string {
	if archived {
		return " archived"
	}
	return ""
}

func queryStrings(db *sql.DB, query string) (all []string, err error) {
	rows, err := db.Query(query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		all = append(all, line)
	}
	return all, rows.Err()
}

// WriteExport returns an export of the state in the format of School's export command. It advances the clock first, so that
// the objects in the export are older than it by more than the duration of a transaction.
func (s *FakeSchool) WriteExport() string {
	var out strings.Builder
	n := 0
	line := func(fields map[string]any) {
		n++
		text, err := json.Marshal(fields)
		if err != nil {
			s.t.Fatal(err)
		}
		out.Write(append(text, '\n'))
	}
	s.now = s.now.Add(10 * time.Minute)
	line(map[string]any{"kind": "header", "taken_at": s.now})
	for _, id := range slices.Sorted(maps.Keys(s.schools)) {
		c := s.schools[id]
		line(map[string]any{"kind": "school", "id": id, "name": c.name, "timezone": "Europe/Berlin", "archived_at": s.archivedAt(c.archived), "sequence": c.sequence})
		for _, user := range slices.Sorted(maps.Keys(c.members)) {
			line(map[string]any{"kind": "member", "school_id": id, "user_id": user, "role": c.members[user], "sequence": c.sequence})
		}
	}
	for _, id := range s.ClassIDs() {
		c := s.classes[id]
		line(map[string]any{"kind": "class", "id": id, "school_id": c.school, "name": c.name, "grade": "5", "archived_at": s.archivedAt(c.archived), "sequence": c.sequence})
		for _, user := range slices.Sorted(maps.Keys(c.members)) {
			line(map[string]any{"kind": "class_member", "class_id": id, "school_id": c.school, "user_id": user, "role": c.members[user], "sequence": c.sequence})
		}
	}
	line(map[string]any{"kind": "end", "lines": n})
	return out.String()
}
