package main

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgo/pkg/testing/servicetest"
)

// line is a line of an export.
type line map[string]any

// export runs the command and returns the lines.
func (env *testEnv) export(t testing.TB) []line {
	t.Helper()
	code, stdout, stderr := env.RunCommand(t, "export")
	if code != 0 || stderr != "" {
		t.Fatalf("ends with %d: %s", code, stderr)
	}
	var all []line
	for text := range strings.Lines(stdout) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, l)
	}
	if len(all) < 2 || all[0]["kind"] != "header" || all[len(all)-1]["kind"] != "end" || all[len(all)-1]["lines"] != float64(len(all)-1) {
		t.Fatalf("got %s", stdout)
	}
	return all
}

func TestExport(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	began := time.Now()
	if empty := env.export(t); len(empty) != 2 {
		t.Errorf("of nothing: %v", empty)
	}
	c := env.createCampus(t, s)
	gone := s.createSchool(c.owner)
	s.createClass(c.owner, gone, "gone")
	if _, err := s.DB.Exec("DELETE FROM schools WHERE id = ?", gone); err != nil { // of which other rows are still there
		t.Fatal(err)
	}
	lines := env.export(t)
	taken, err := time.Parse(time.RFC3339Nano, lines[0]["taken_at"].(string))
	if err != nil || taken.Before(began.Add(-time.Minute)) || taken.After(time.Now().Add(time.Minute)) {
		t.Errorf("taken at %v, %v", taken, err)
	}
	of := map[any][]line{}
	for _, l := range lines {
		of[l["kind"]] = append(of[l["kind"]], l)
	}
	if len(of["school"]) != 3 || len(of["member"]) != 15 || len(of["class"]) != 2 || len(of["class_member"]) != 3 {
		t.Fatalf("got %v", lines)
	}
	find := func(kind, key, value string) line {
		i := slices.IndexFunc(of[kind], func(l line) bool { return l[key] == value })
		if i < 0 {
			t.Fatalf("no %s with %s %s in %v", kind, key, value, of[kind])
		}
		return of[kind][i]
	}
	if find("school", "id", c.archivedSchool)["archived_at"] == nil || find("class", "id", c.archivedClass)["archived_at"] == nil {
		t.Errorf("what is archived is not marked: %v", lines)
	}
	sequence := float64(s.queryInt("SELECT sequence FROM schools WHERE id = ?", c.school))
	ofClass := float64(s.queryInt("SELECT sequence FROM classes WHERE id = ?", c.class))
	for _, tc := range []struct {
		line     line
		like     map[string]any
		sequence float64
	}{
		{find("school", "id", c.school), s.expect(request{Method: "GET", Path: schools + "/" + c.school, Token: c.owner.Token}, 200, "").JSON, sequence},
		{find("class", "id", c.class), s.expect(request{Method: "GET", Path: classes + c.class, Token: c.owner.Token}, 200, "").JSON, ofClass},
		{find("member", "user_id", c.classTeacher.ID), withoutFields(s.expect(setRoleRequest(c.owner, c.school, c.classTeacher, "teacher"), 200, "").JSON, "name", "version"), sequence},
		{find("class_member", "user_id", c.inClass.ID), withoutFields(s.expect(putClassMemberRequest(c.owner, c.class, c.inClass, "student"), 200, "").JSON, "name", "version"), ofClass},
	} {
		if got, want := servicetest.Canonical(t, withoutFields(tc.line, "kind", "sequence")), servicetest.Canonical(t, tc.like); got != want || tc.line["sequence"] != tc.sequence {
			t.Errorf("line %v\nwant %s with sequence %v", tc.line, want, tc.sequence)
		}
	}
}

// TestExportIsConsistentSnapshot exports while a school changes: members and sequence always fit together.
func TestExportIsConsistentSnapshot(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	owner, p := env.person(t), env.person(t)
	id := s.createSchool(owner) // 2 events
	code := s.createInvite(owner, id, "student", 10_000)
	stop := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() {
		for {
			for _, r := range []request{acceptRequest(p, code), removeMemberRequest(p, id, p)} { // an event each
				select {
				case <-stop:
					return
				default:
				}
				if res, err := s.Try(r); err != nil || res.Status >= 300 {
					t.Errorf("%d %s, %v", res.Status, res.Body, err)
					return
				}
			}
		}
	})
	for range 3 {
		lines := env.export(t)
		school, members := lines[1], 0
		for _, l := range lines {
			if l["kind"] == "member" {
				members++
				if l["sequence"] != school["sequence"] {
					t.Errorf("a member says %v, the school %v", l["sequence"], school["sequence"])
				}
			}
		}
		if sequence := int(school["sequence"].(float64)); members != 1+sequence%2 {
			t.Errorf("%d members at sequence %d", members, sequence)
		}
	}
	close(stop)
	changing.Wait()
}

func TestExportWithoutServers(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	env.RedisLink.Cut()
	env.BrokerLink.Cut()
	env.issuer.Link.Cut()
	env.export(t)
	env.MySQLLink.Cut()
	if code, stdout, stderr := env.RunCommand(t, "export"); code != 69 || stdout != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("ends with %d, %q, %q; want 69 and one line", code, stdout, stderr)
	}
}
