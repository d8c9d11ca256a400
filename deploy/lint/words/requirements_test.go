package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	requirementsPage = "docs/security/asvs.md"

	// requirementCount is the number of requirements of the levels 1 and 2 in edition 5.0.0.
	requirementCount = 253
)

var (
	requirement = regexp.MustCompile(`^\| (V\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \|$`)
	provingTest = regexp.MustCompile("`(Test[A-Z]\\w*)(?:/([^`]+))?`")
)

// TestRequirementsNameTests checks that each requirement of the page is there once, has a result, and names tests that exist.
func TestRequirementsNameTests(t *testing.T) {
	const root = "../../.."
	text, err := os.ReadFile(filepath.Join(root, requirementsPage))
	if err != nil {
		t.Fatal(err)
	}
	declared := findTests(t, root)
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		m := requirement.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		number, result := m[1], m[3]
		if seen[number] {
			t.Errorf("%s is there twice", number)
		}
		seen[number] = true
		tests := provingTest.FindAllStringSubmatch(result, -1)
		for _, test := range tests {
			if !declared.has(test[1], test[2]) {
				t.Errorf("%s: there is no test %s", number, test[0])
			}
		}
		if !hasResult(result, len(tests)) {
			t.Errorf("%s has no result: %s", number, result)
		}
	}
	if len(seen) != requirementCount {
		t.Errorf("%d requirements, want %d", len(seen), requirementCount)
	}
}

// hasResult reports whether a result begins with a test or gives a reason or a link.
func hasResult(result string, tests int) bool {
	for _, kind := range []string{"Not applicable: ", "Open: "} {
		if reason, ok := strings.CutPrefix(result, kind); ok {
			return len(reason) > 5
		}
	}
	if linked, ok := strings.CutPrefix(result, "Documented: "); ok {
		return link.MatchString(linked)
	}
	return tests > 0 && strings.HasPrefix(result, "`Test")
}

// declaredTests maps the names of tests to the text of the test files beside each.
type declaredTests map[string]string

// has reports whether there is a test with the name and, unless it is "", a step of it that a file beside it names.
func (d declaredTests) has(name, step string) bool {
	beside, ok := d[name]
	return ok && (step == "" || strings.Contains(beside, `"`+step+`"`))
}

func findTests(t *testing.T, root string) declaredTests {
	t.Helper()
	paths, err := listFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	byDirectory := map[string]string{}
	for _, p := range paths {
		if !strings.HasSuffix(p, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, p))
		if os.IsNotExist(err) { // deleted, and not committed yet
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		byDirectory[path.Dir(p)] += string(text)
	}
	declared := declaredTests{}
	for _, text := range byDirectory {
		names := map[string]bool{}
		collectTests(text, names)
		for name := range names {
			declared[name] += text
		}
	}
	return declared
}
