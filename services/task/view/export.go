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

// Export is School's state at a moment, all of it. What is not in it did not exist then.
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

// maxLineBytes bounds a line of the export; real ones have some hundred bytes.
const maxLineBytes = 1 << 20

// exportLine is what this service reads of a line; other fields may be there.
type exportLine struct {
	Kind     string    `json:"kind"`
	TakenAt  time.Time `json:"taken_at"`
	Sequence int64     `json:"sequence"`
	Lines    *int      `json:"lines"`
	eventData
}

// ReadExport reads what School's binary exports: one JSON object a line, of which the first is the header and the last
// says how many lines are before it, so that one that was cut off is not taken for a School that has lost the rest.
// Errors name the line.
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
		return nil, fmt.Errorf("line %d: the export is cut off: its last line is not there", n+1)
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
		return errors.New("there is more after the last line")
	}
	var l exportLine
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&l); err != nil {
		return fmt.Errorf("not an object of the export: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one object")
	}
	if (l.Kind == "header") != (n == 1) {
		return errors.New("the header must be the first line, and no other")
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
			return fmt.Errorf("the last line does not say that there are %d before it", n-1)
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
		s := School{ID: l.ID, Name: l.Name, Sequence: l.Sequence}
		if e.export.Schools[s.ID] != nil {
			return errors.New("the school is there twice")
		}
		e.export.Schools[s.ID] = &SchoolState{School: s, Members: map[string]Member{}}
		return check(s)
	case "member":
		m := Member{SchoolID: l.SchoolID, UserID: l.UserID, Role: l.Role, Sequence: l.Sequence}
		e.members = append(e.members, m)
		return check(m)
	case "class":
		c := Class{ID: l.ID, SchoolID: l.SchoolID, Name: l.Name, Sequence: l.Sequence}
		if e.export.Classes[c.ID] != nil {
			return errors.New("the class is there twice")
		}
		e.export.Classes[c.ID] = &ClassState{Class: c, Members: map[string]ClassMember{}}
		return check(c)
	case "class_member":
		e.classMembers = append(e.classMembers, ClassMember{ClassID: l.ClassID, UserID: l.UserID, Role: l.Role, Sequence: l.Sequence})
		return nil // checked when their class is known
	}
	return fmt.Errorf("%.20q is no kind of the export", l.Kind)
}

// attachMembers puts the members into what they are members of.
func (e *exportReader) attachMembers() error {
	for _, c := range e.export.Classes {
		if e.export.Schools[c.Class.SchoolID] == nil {
			return fmt.Errorf("class %s is in a school that is not there", c.Class.ID)
		}
	}
	for _, m := range e.members {
		s := e.export.Schools[m.SchoolID]
		if s == nil {
			return fmt.Errorf("a member is in school %s, which is not there", m.SchoolID)
		}
		m.Sequence = s.School.Sequence
		s.Members[m.UserID] = m
	}
	for _, m := range e.classMembers {
		c := e.export.Classes[m.ClassID]
		if c == nil {
			return fmt.Errorf("a member is in class %s, which is not there", m.ClassID)
		}
		m.SchoolID, m.Sequence = c.Class.SchoolID, c.Class.Sequence
		if err := check(m); err != nil {
			return fmt.Errorf("a member of class %s: %w", m.ClassID, err)
		}
		c.Members[m.UserID] = m
	}
	return nil
}
