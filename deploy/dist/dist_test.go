package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// checkout is a repository with two programs, one of which uses a package of another module.
type checkout struct {
	*testing.T
	dir  string
	when time.Time
}

func newCheckout(t *testing.T) *checkout {
	c := &checkout{T: t, dir: t.TempDir(), when: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	const stamped = "\n\nvar version, commit, built string\n\n"
	c.git("init", "-q", "-b", "main")
	c.commit(map[string]string{
		"go.work":             "go 1.26.0\n\ntoolchain " + toolchain(t) + "\n\nuse (\n\t./lib\n\t./one\n\t./two\n)\n",
		"lib/go.mod":          "module pgo/lib\n\ngo 1.26.0\n",
		"lib/word/word.go":    "package word\n\nconst Said = \"hello\"\n",
		"one/go.mod":          "module pgo/one\n\ngo 1.26.0\n\nrequire pgo/lib v0.0.0\n\nreplace pgo/lib => ../lib\n",
		"one/cmd/one/main.go": "package main\n\nimport \"pgo/lib/word\"" + stamped + "func main() { println(version, commit, built, word.Said) }\n",
		"two/go.mod":          "module pgo/two\n\ngo 1.26.0\n",
		"two/main.go":         "package main\n\nimport _ \"embed\"" + stamped + "//go:embed text/*.txt\nvar text string\n\nfunc main() { println(version, commit, built, text) }\n",
		"two/text/a.txt":      "a\n",
	})
	return c
}

// toolchain is the one this test runs with, so that none is fetched.
func toolchain(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOVERSION").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (c *checkout) git(args ...string) string {
	c.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = c.dir
	when := c.when.Format(time.RFC3339)
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		"GIT_AUTHOR_DATE="+when, "GIT_COMMITTER_DATE="+when)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *checkout) write(files map[string]string) {
	c.Helper()
	for name, text := range files {
		path := filepath.Join(c.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			c.Fatal(err)
		}
	}
}

// commit commits a day later than the last one.
func (c *checkout) commit(files map[string]string) string {
	c.Helper()
	c.when = c.when.AddDate(0, 0, 1)
	c.write(files)
	c.git("add", "-A")
	c.git("commit", "-q", "-m", "a change")
	return c.git("rev-parse", "HEAD")
}

func (c *checkout) dist() dist {
	return dist{Root: c.dir, Out: "dist", Archs: []string{"amd64", "arm64"}, Programs: []program{{"one", "one/cmd/one"}, {"two", "two"}}}
}

// build returns the checksum of each file that is built.
func (c *checkout) build(d dist) map[string]string {
	c.Helper()
	var said bytes.Buffer
	if err := d.buildPrograms(c.Context(), &said); err != nil {
		c.Fatal(err)
	}
	text, err := os.ReadFile(d.outputPath("SHA256SUMS"))
	if err != nil {
		c.Fatal(err)
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		sums[name] = sum
	}
	return sums
}

// differ returns which programs are others.
func differ(before, after map[string]string) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] != after[name] && strings.HasPrefix(name, "linux-amd64/") && !strings.HasSuffix(name, ".json") {
			names = append(names, filepath.Base(name))
		}
	}
	return strings.Join(names, " ")
}

// A commit changes the programs that are built from what it changes, and no other.
func TestChanges(t *testing.T) {
	if testing.Short() {
		t.Skip("builds after each of many commits")
	}
	tests := []struct {
		name    string
		files   map[string]string
		changed string
	}{
		{"a document", map[string]string{"README.md": "more\n"}, ""},
		{"a test", map[string]string{"one/cmd/one/main_test.go": "package main\n"}, ""},
		{"a program", map[string]string{"two/more.go": "package main\n"}, "two"},
		{"what is embedded", map[string]string{"two/text/a.txt": "b\n"}, "two"},
		{"a package that one uses", map[string]string{"lib/word/word.go": "package word\n\nconst Said = \"good day\"\n"}, "one"},
		{"a package that none uses", map[string]string{"lib/other/other.go": "package other\n"}, ""},
		{"another module more", map[string]string{"three/go.mod": "module pgo/three\n\ngo 1.26.0\n"}, ""},
	}
	c := newCheckout(t)
	before := c.build(c.dist())
	if len(before) != 8 {
		t.Errorf("built %v", before)
	}
	for _, test := range tests {
		c.commit(test.files)
		after := c.build(c.dist())
		if got := differ(before, after); got != test.changed {
			t.Errorf("%s changes %q, want %q", test.name, got, test.changed)
		}
		before = after
	}
	// What is the same is not even written again.
	binary := filepath.Join(c.dir, "dist/linux-amd64/one")
	was, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	c.build(c.dist())
	if is, err := os.Stat(binary); err != nil || !is.ModTime().Equal(was.ModTime()) {
		t.Errorf("one was built again: %v", err)
	}
}

func TestStamp(t *testing.T) {
	c := newCheckout(t)
	first := c.git("rev-parse", "HEAD")
	second := c.commit(map[string]string{"two/more.go": "package main\n"})
	d := c.dist()
	stamp := func(d dist, name string) stamp {
		t.Helper()
		for _, p := range d.Programs {
			if p.Name == name {
				s, err := d.readStamp(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
		}
		t.Fatalf("no program %s", name)
		return stamp{}
	}
	if s := stamp(d, "one"); s.Commit != first || s.Version != "20260302-"+first[:12] || s.Time.Format(time.RFC3339) != "2026-03-02T12:00:00Z" {
		t.Errorf("one: %+v", s)
	}
	if s := stamp(d, "two"); s.Commit != second || s.Version != "20260303-"+second[:12] {
		t.Errorf("two: %+v", s)
	}
	c.build(d)
	out, err := exec.Command(d.outputPath("linux-amd64", "two")).CombinedOutput()
	if want := "20260303-" + second[:12] + " " + second + " 2026-03-03T12:00:00Z a\n"; runtime.GOARCH == "amd64" && (err != nil || !strings.HasPrefix(string(out), want)) {
		t.Errorf("two says %s, %v", out, err)
	}
	d.Epoch, d.Version = "1000000000", "v1.2.3"
	if s := stamp(d, "one"); s.Version != "v1.2.3" || s.Commit != first || s.Time.Format(time.RFC3339) != "2001-09-09T01:46:40Z" {
		t.Errorf("one: %+v", s)
	}
	c.write(map[string]string{"two/more.go": "package main\n\n// more\n"})
	if one, two := stamp(c.dist(), "one").Version, stamp(c.dist(), "two").Version; strings.Contains(one, "dirty") || !strings.HasSuffix(two, "-dirty") {
		t.Errorf("one is %s, two is %s", one, two)
	}
}

// Two builds of a commit in two directories are the same, and a difference is found.
func TestCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("builds everything twice")
	}
	c := newCheckout(t)
	var said bytes.Buffer
	if err := c.dist().checkReproducible(t.Context(), false, &said); err != nil || !strings.Contains(said.String(), "8 files are the same") {
		t.Errorf("%s %v", &said, err)
	}
	got := listDifferences(map[string]string{"1  linux-amd64/one\n2  linux-amd64/two\n": "a", "1  linux-amd64/one\n3  linux-amd64/two\n": "b"})
	if !slices.Equal(got, []string{"linux-amd64/two"}) {
		t.Errorf("%v differ", got)
	}
}

func TestBill(t *testing.T) {
	c := newCheckout(t)
	d := c.dist()
	sums := c.build(d)
	text, err := os.ReadFile(d.outputPath("linux-arm64", "one.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	if hash := (*bom.Metadata.Component.Hashes)[0].Value; hash != sums["linux-arm64/one"] || bom.Metadata.Component.Name != "one" {
		t.Errorf("it is of %+v", bom.Metadata.Component)
	}
	var parts []string
	for _, part := range *bom.Components {
		parts = append(parts, part.Name)
	}
	if !slices.Equal(parts, []string{"std", "pgo/lib"}) {
		t.Errorf("it has %v", parts)
	}
	info, err := buildinfo.ReadFile(d.outputPath("linux-arm64", "one"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range info.Settings {
		if strings.HasPrefix(s.Key, "vcs") || s.Key == "CGO_ENABLED" && s.Value != "0" || s.Key == "GOARCH" && s.Value != "arm64" {
			t.Errorf("%s=%s", s.Key, s.Value)
		}
	}
}

func TestRefused(t *testing.T) {
	c := newCheckout(t)
	c.commit(map[string]string{"README.md": "more\n"})
	shallow := filepath.Join(t.TempDir(), "shallow")
	c.git("clone", "-q", "--depth", "1", "file://"+c.dir, shallow)
	d := c.dist()
	d.Root = shallow
	if err := d.buildPrograms(t.Context(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "shallow") {
		t.Errorf("a shallow clone: %v", err)
	}
	c.write(map[string]string{"three/go.mod": "module pgo/three\n\ngo 1.26.0\n", "three/main.go": "package main\n\nfunc main() {}\n", "one/cmd/one/main.go": "broken"})
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"nothing", nil, "nothing to build"},
		{"no directory", []string{"one"}, "not NAME=DIR"},
		{"a path for a name", []string{"../one=one"}, "not NAME=DIR"},
		{"twice", []string{"one=one", "one=two"}, "named twice"},
		{"an unknown architecture", []string{"-arch", "mips", "two=two"}, `cannot build for "mips"`},
		{"a program that is in no commit", []string{"three=three"}, "in no commit yet"},
		{"a program that is not there", []string{"four=four"}, "in no module"},
		{"one that does not compile", []string{"one=one/cmd/one"}, "expected 'package'"},
	}
	t.Chdir(c.dir)
	for _, test := range tests {
		err := run(context.Background(), test.args, func(string) string { return "" }, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
