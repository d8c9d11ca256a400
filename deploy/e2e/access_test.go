package e2e

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// accessPage returns the page with the table of a service: what every operation answers to every kind of person.
func accessPage(service string) string { return "docs/access-" + service + ".md" }

// accessPages names all of them in messages.
const accessPages = "docs/access-*.md"

// accessRow is one line of it.
type accessRow struct {
	service      string // the heading it stands under, in small letters
	operation    string // "GET /schools/{id}"
	on           string // what it is done to, "" where that makes no difference
	expectations map[string]expectation
}

func (r accessRow) name() string { return strings.TrimSpace(r.operation + " " + r.on) }

// expectation is a cell.
type expectation struct {
	status int // 0 where there cannot be such a person
	code   string
}

func everyone() []string {
	return []string{"nobody", "user", "student", "teacher", "school admin", "owner", "platform admin", "other school", "deleted user", "disabled user"}
}

// access runs the whole table.
func access(t *testing.T, s *stack) {
	var rows []accessRow
	for _, service := range services() {
		rows = append(rows, readAccess(t, filepath.Join(s.root, accessPage(service)))...)
	}
	assertWhole(t, s, rows)
	w := newWorld(t, s)
	known := operations()
	for _, row := range rows {
		prepare, ok := known[row.service+": "+row.name()]
		if !ok {
			t.Errorf("%s: nothing here knows how to make this call: %s", accessPages, row.name())
			continue
		}
		delete(known, row.service+": "+row.name())
		t.Run(row.service+" "+row.name(), func(t *testing.T) {
			w.t = t
			for _, who := range everyone() {
				if row.expectations[who].status != 0 {
					w.try(row, who, prepare)
				}
			}
		})
	}
	for name := range known {
		t.Errorf("%s does not have %s", accessPages, name)
	}
}

// try makes one call and compares.
func (w *world) try(row accessRow, who string, prepare func(*world, string) request) {
	w.t.Helper()
	r := prepare(w, who)
	method, path, _ := strings.Cut(row.operation, " ")
	path = regexp.MustCompile(`\{(\w+)\}`).ReplaceAllStringFunc(path, func(name string) string {
		value := r.path[strings.Trim(name, "{}")]
		if value == "" {
			w.t.Fatalf("nothing is given for %s", name)
		}
		return value
	})
	token := w.people[who].token
	if r.as != nil {
		token = r.as.token
	}
	a, err := w.s.call(method, "/api/v1"+path, token, r.body)
	if err != nil {
		w.t.Fatalf("%s: %v", who, err)
	}
	want := row.expectations[who]
	if code := a.text("code"); a.Status != want.status || want.status >= 400 && code != want.code {
		w.t.Errorf("%s: got %d %s, want %d %s (%.200s)", who, a.Status, code, want.status, want.code, a.Body)
	}
	if r.spoils || method != "GET" && a.Status < 300 {
		w.changed(row.service)
	}
}

// assertWhole checks that the table has every operation of the three specifications and no other.
func assertWhole(t *testing.T, s *stack, rows []accessRow) {
	t.Helper()
	inTable := map[string]bool{}
	for _, r := range rows {
		inTable[r.service+": "+r.operation] = true
	}
	inSpec := map[string]bool{}
	for _, service := range services() {
		spec := s.want(t, 200, "GET", "/services/"+service+"/openapi.json", "", nil)
		paths, _ := spec.JSON["paths"].(map[string]any)
		if len(paths) == 0 || spec.text("basePath") != "/api/v1" {
			t.Fatalf("%s has no specification: %.300s", service, spec.Body)
		}
		for path, methods := range paths {
			for method := range methods.(map[string]any) {
				inSpec[service+": "+strings.ToUpper(method)+" "+path] = true
			}
		}
	}
	for operation := range inSpec {
		if !inTable[operation] {
			t.Errorf("%s does not have %s", accessPages, operation)
		}
	}
	for operation := range inTable {
		if !inSpec[operation] {
			t.Errorf("%s has %s, which no specification has", accessPages, operation)
		}
	}
}

// readAccess reads the tables that begin with the column "operation"; the heading above one is its service.
func readAccess(t *testing.T, path string) []accessRow {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var (
		rows    []accessRow
		service string
		inside  bool
	)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			service = strings.ToLower(heading)
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			inside = false
		case cells[0] == "operation":
			if inside = slices.Equal(cells[1:], everyone()); !inside {
				t.Fatalf("%s:%d: the columns are %q, want %q", path, n, cells[1:], everyone())
			}
		case inside && !strings.HasPrefix(cells[0], "---"):
			row, err := readRow(service, cells)
			if err != nil {
				t.Fatalf("%s:%d: %v", path, n, err)
			}
			rows = append(rows, row)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func readRow(service string, cells []string) (accessRow, error) {
	row := accessRow{service: service, expectations: map[string]expectation{}}
	m := regexp.MustCompile("^`([A-Z]+ /\\S+)`(.*)$").FindStringSubmatch(cells[0])
	if m == nil {
		return row, fmt.Errorf("no operation: %q", cells[0])
	}
	row.operation, row.on = m[1], strings.TrimSpace(m[2])
	if len(cells) != len(everyone())+1 {
		return row, fmt.Errorf("%s has %d cells", row.name(), len(cells))
	}
	usual := map[int]string{401: "unauthenticated", 403: "forbidden", 404: "not_found"}
	for i, who := range everyone() {
		cell := cells[i+1]
		if cell == "-" {
			row.expectations[who] = expectation{}
			continue
		}
		status, code, _ := strings.Cut(cell, " ")
		n, err := strconv.Atoi(status)
		if err != nil || n < 200 || n > 599 {
			return row, fmt.Errorf("%s, %s: no status: %q", row.name(), who, cell)
		}
		if code == "" {
			code = usual[n]
		}
		if n >= 400 && code == "" {
			return row, fmt.Errorf("%s, %s: %d needs its code", row.name(), who, n)
		}
		row.expectations[who] = expectation{n, code}
	}
	return row, nil
}

// TestAccessTables checks that each page's table can be read and is of its own service. The calls are made by the tests of the stack.
func TestAccessTables(t *testing.T) {
	for _, service := range services() {
		rows := readAccess(t, filepath.Join("..", "..", accessPage(service)))
		if len(rows) == 0 {
			t.Errorf("%s has no table", accessPage(service))
		}
		for _, r := range rows {
			if r.service != service {
				t.Errorf("%s: %s is of %q", accessPage(service), r.name(), r.service)
			}
		}
	}
}
