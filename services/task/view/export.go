package view

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Export is the complete state of School at one moment. An object that is not in it did not exist then.
type Export struct {
	TakenAt time.Time
	Schools map[string]*SchoolState
	Classes map[string]*ClassState
}

// SchoolState is a school and its members by user id.
type SchoolState struct {
	School  School
	Members map[string]Member
}

// ClassState is a class and its members by user id.
type ClassState struct {
	Class   Class
	Members map[string]ClassMember
}

// maxLineBytes limits a line of the export. Real lines have a few hundred bytes.
const maxLineBytes = 1 << 20

// exportLine holds the fields of a line that this service reads. Other fields are ignored.
type exportLine struct {
	Kind     string    `json:"kind"`
	TakenAt  time.Time `json:"taken_at"`
	Sequence int64     `json:"sequence"`
	Lines    *int      `json:"lines"`
	eventData
}

// ReadExport reads the output of School's export command: one JSON object a line. The first line is the header, and the
// last has the number of lines before it, so that a truncated export is not taken for a smaller School. Its errors contain
// the number of the line.
func ReadExport(r io.Reader) (*Export, error) {
	e := &exportReader{export: &Export{Schools: map[string]*SchoolState{}, Classes: map[string]*ClassState{}}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLineBytes)
	n := 0
	for lines.Scan() {
		n++
		if err := e.readLine(lines.Bytes(), n); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if !e.hasEnded {
		return nil, fmt.Errorf("line %d: the export is truncated: its last line is missing", n+1)
	}
	if err := e.attachMembers(); err != nil {
		return nil, err
	}
	return e.export, nil
}

type exportReader struct {
	export       *Export
	members      []Member
	classMembers []ClassMember
	hasEnded     bool
}

func (e *exportReader) readLine(text []byte, n int) error {
	if e.hasEnded {
		return errors.New("unexpected line after the last line")
	}
	var l exportLine
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&l); err != nil {
		return fmt.Errorf("decode object of the export: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one object in the line")
	}
	if (l.Kind == "header") != (n == 1) {
		return errors.New("the first line, and no other, must be the header")
	}
	switch l.Kind {
	case "header":
		if l.TakenAt.IsZero() {
			return errors.New("taken_at is missing")
		}
		e.export.TakenAt = l.TakenAt
		return nil
	case "end":
		if l.Lines == nil || *l.Lines != n-1 {
			return fmt.Errorf("the last line must count the %d lines before it", n-1)
		}
		e.hasEnded = true
		return nil
	}
	if l.Sequence < 1 {
		return errors.New("sequence is missing")
	}
	return e.readObject(l)
}

func (e *exportReader) readObject(l exportLine) error {
	switch l.Kind {
	case "school":
		s := School{ID: l.ID, Name: l.Name, Timezone: l.Timezone, Archived: l.ArchivedAt != nil, Sequence: l.Sequence}
		if e.export.Schools[s.ID] != nil {
			return errors.New("duplicate school")
		}
		e.export.Schools[s.ID] = &SchoolState{School: s, Members: map[string]Member{}}
		return s.Validate()
	case "member":
		m := Member{SchoolID: l.SchoolID, UserID: l.UserID, Role: l.Role, Sequence: l.Sequence}
		e.members = append(e.members, m)
		return m.Validate()
	case "class":
		c := Class{ID: l.ID, SchoolID: l.SchoolID, Name: l.Name, Archived: l.ArchivedAt != nil, Sequence: l.Sequence}
		if e.export.Classes[c.ID] != nil {
			return errors.New("duplicate class")
		}
		e.export.Classes[c.ID] = &ClassState{Class: c, Members: map[string]ClassMember{}}
		return c.Validate()
	case "class_member":
		e.classMembers = append(e.classMembers, ClassMember{ClassID: l.ClassID, UserID: l.UserID, Role: l.Role, Sequence: l.Sequence})
		return nil // validated by attachMembers, when the class is known
	}
	return fmt.Errorf("unknown kind %.20q", l.Kind)
}

// attachMembers adds the members to their schools and classes.
func (e *exportReader) attachMembers() error {
	for _, c := range e.export.Classes {
		if e.export.Schools[c.Class.SchoolID] == nil {
			return fmt.Errorf("class %s belongs to a school that is not in the export", c.Class.ID)
		}
	}
	for _, m := range e.members {
		s := e.export.Schools[m.SchoolID]
		if s == nil {
			return fmt.Errorf("a member belongs to school %s, which is not in the export", m.SchoolID)
		}
		m.Sequence = s.School.Sequence
		s.Members[m.UserID] = m
	}
	for _, m := range e.classMembers {
		c := e.export.Classes[m.ClassID]
		if c == nil {
			return fmt.Errorf("a member belongs to class %s, which is not in the export", m.ClassID)
		}
		m.SchoolID, m.Sequence = c.Class.SchoolID, c.Class.Sequence
		if err := m.Validate(); err != nil {
			return fmt.Errorf("a member of class %s: %w", m.ClassID, err)
		}
		c.Members[m.UserID] = m
	}
	return nil
}
