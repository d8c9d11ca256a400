package main

import (
	"encoding/csv"
	"mime"
	"strings"
	"testing"
	"time"
)

// TestGradeTableInSpreadsheets downloads the table of people whose names and feedback try to be formulas, and reads it with each
// separator that a spreadsheet may use.
func TestGradeTableInSpreadsheets(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	class, teacher := env.createClass(t), env.createPerson(t, "Teacher", "user")
	class.join(t, "teacher", teacher)
	names := []string{"zoe", "Öztürk 李小龙", "Adams", "Mallory;@SUM(1)", "Eve;=1+1"} // ids are in this order
	var people []person
	for _, name := range names {
		people = append(people, env.createPerson(t, name, "user"))
	}
	class.join(t, "student", people...)
	due := time.Date(2030, 1, 15, 12, 0, 0, 0, time.UTC)
	id := s.Expect(t, request{Method: "POST", Path: "/api/v1/tasks", Token: teacher.Token, Body: map[string]any{"class_id": class.ID, "title": "Übung 3", "description": "", "max_score": 20, "due_at": due}}, 201, "").Text("id")
	path := "/api/v1/tasks/" + id
	s.Expect(t, request{Method: "POST", Path: path + "/publish", Token: teacher.Token}, 202, "")
	env.awaitFanOut(t)
	submitted := s.Expect(t, request{Method: "PUT", Path: path + "/submission", Token: people[0].Token, Body: map[string]any{"content": "x"}}, 200, "").Text("submitted_at")
	s.Expect(t, request{Method: "PUT", Path: path + "/submissions/" + people[0].ID + "/grade", Token: teacher.Token, Body: map[string]any{"score": 10, "feedback": "good;=2+3\nnext line\n=4+5"}}, 200, "")

	res := s.Expect(t, request{Method: "GET", Path: path + "/grades.csv", Token: teacher.Token}, 200, "")
	text, hasMark := strings.CutPrefix(string(res.Body), "\xef\xbb\xbf")
	if !hasMark {
		t.Errorf("there is no byte order mark: %q", res.Body)
	}
	if _, params, err := mime.ParseMediaType(res.Header.Get("Content-Disposition")); err != nil || params["filename"] != "grades Übung 3.csv" {
		t.Errorf("the file's name is %q, %v", res.Header.Get("Content-Disposition"), err)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 6 {
		t.Fatalf("%v: %q", err, rows)
	}
	for i, want := range []string{"Adams", "Eve;'=1+1", "Mallory;'@SUM(1)", "Öztürk 李小龙", "zoe"} {
		if rows[i+1][1] != want {
			t.Errorf("row %d is of %q, want %q", i+1, rows[i+1][1], want)
		}
	}
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, submitted)
	if last := rows[5]; err != nil || last[2] != "zoe@example.org" || last[7] != at.In(zone).Format("2006-01-02 15:04:05") || last[9] != "Europe/Berlin" {
		t.Errorf("the last row is %q, %v", last, err)
	}
	for _, separator := range ",;\t|" {
		r := csv.NewReader(strings.NewReader(text))
		r.Comma, r.LazyQuotes, r.FieldsPerRecord = separator, true, -1
		rows, err := r.ReadAll()
		if err != nil {
			t.Errorf("with %q: %v", separator, err)
		}
		for _, row := range rows {
			for _, cell := range row {
				for line := range strings.Lines(cell) {
					if begin := strings.TrimLeft(line, "\" \t"); begin != "" && strings.ContainsAny(begin[:1], "=+-@") {
						t.Errorf("with %q, a cell begins as a formula: %q", separator, cell)
					}
				}
			}
		}
	}
}
