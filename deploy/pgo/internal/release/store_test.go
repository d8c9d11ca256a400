package release

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// storeFixture is a store with releases of a process called user, which tests name by letters.
type storeFixture struct {
	Store *Store
	t     *testing.T
	sums  map[string]string
}

func newStoreFixture(t *testing.T) *storeFixture {
	return &storeFixture{&Store{Dir: filepath.Join(t.TempDir(), "releases")}, t, map[string]string{}}
}

// runSteps runs steps such as "add a, live a, good a".
func (s *storeFixture) runSteps(steps string) {
	s.t.Helper()
	for step := range strings.SplitSeq(steps, ", ") {
		verb, letter, _ := strings.Cut(step, " ")
		var err error
		switch verb {
		case "add":
			var r Release
			if r, err = s.Store.Add(s.t.Context(), "user", writeScript(s.t, filepath.Join(s.t.TempDir(), "user"), "echo "+letter)); err == nil {
				s.sums[letter] = r.Record.Verification.SHA256
			}
		case "live":
			err = s.Store.SetCurrent(s.t.Context(), "user", s.sums[letter])
		case "good":
			err = s.Store.MarkPassed(s.t.Context(), "user", s.sums[letter])
		case "bad":
			err = s.Store.MarkFailed(s.t.Context(), "user", s.sums[letter], "it crashed")
		case "remove": // by hand
			err = os.Remove(s.programPath(letter))
		case "tear": // its record
			err = os.WriteFile(s.programPath(letter)+".json", []byte(`{"sha2`), 0o600)
		case "harm": // its program, in place
			text, _ := os.ReadFile(s.programPath(letter))
			text[len(text)-2] ^= 1
			err = errors.Join(os.Remove(s.programPath(letter)), os.WriteFile(s.programPath(letter), text, 0o755))
		default:
			s.t.Fatalf("unknown step %q", step)
		}
		if err != nil {
			s.t.Fatalf("%s: %v", step, err)
		}
	}
}

func (s *storeFixture) programPath(letter string) string {
	return filepath.Join(s.Store.Dir, "user", s.sums[letter])
}

func (s *storeFixture) letterOf(sum string) string {
	for letter, is := range s.sums {
		if is == sum {
			return letter
		}
	}
	return sum
}

// storedLetters returns the letters of the stored releases, the latest first.
func (s *storeFixture) storedLetters() string {
	s.t.Helper()
	all, err := s.Store.List("user")
	if err != nil {
		s.t.Fatal(err)
	}
	var letters []string
	for _, r := range all {
		letters = append(letters, s.letterOf(r.Record.Verification.SHA256))
	}
	return strings.Join(letters, " ")
}

func (s *storeFixture) rollbackLetter() string {
	s.t.Helper()
	r, err := s.Store.RollbackTarget(s.t.Context(), "user")
	if errors.Is(err, ErrNoRollbackTarget) {
		return ""
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return s.letterOf(r.Record.Verification.SHA256)
}

func (s *storeFixture) currentLetter() string {
	s.t.Helper()
	r, err := s.Store.Current("user")
	if errors.Is(err, ErrNoCurrent) {
		return ""
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return s.letterOf(r.Record.Verification.SHA256)
}

// listFiles returns the names of all files in the process's directory.
func (s *storeFixture) listFiles() []string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Store.Dir, "user"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestAdd(t *testing.T) {
	s := newStoreFixture(t)
	source := writeScript(t, filepath.Join(t.TempDir(), "user"), "echo first")
	r, err := s.Store.Add(t.Context(), "user", source)
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != "user" || r.Path != filepath.Join(s.Store.Dir, "user", r.Record.Verification.SHA256) || r.Record.Verification.Method != MethodSHA256 || r.Record.Source != source || r.Current || r.Record.Verification.Size != 21 || time.Since(r.Record.Added) > time.Minute {
		t.Errorf("got %+v", r)
	}
	info, err := os.Stat(r.Path)
	if err != nil || info.Mode().Perm() != 0o555 || info.Sys().(*syscall.Stat_t).Nlink != 1 {
		t.Errorf("%v, %v", info, err)
	}
	// Overwriting the deployed file in place, as scp does, does not change the release.
	if f, err := os.OpenFile(source, os.O_WRONLY, 0); err != nil {
		t.Error(err)
	} else {
		f.WriteString("XXXXX")
		f.Close()
	}
	if err := s.Store.VerifyContent(t.Context(), "user", r.Record.Verification.SHA256); err != nil {
		t.Error(err)
	}
	before := s.listFiles()
	if _, err := s.Store.Add(t.Context(), "user", source); !errors.Is(err, NotExecutable) || !strings.HasPrefix(err.Error(), source) {
		t.Errorf("a damaged file: %v", err)
	}
	if _, err := s.Store.Add(t.Context(), "user", source+"2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if after := s.listFiles(); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
	for _, name := range []string{"", ".", "..", ".lock", "a/b", "-x"} {
		if _, err := s.Store.Add(t.Context(), name, source); err == nil {
			t.Errorf("a process called %q", name)
		}
	}
}

func TestStatus(t *testing.T) {
	tests := []struct{ name, steps, live, target string }{
		{"nothing", "add a", "", ""},
		{"the first", "add a, live a, good a", "a", ""},
		{"one before", "add a, live a, good a, add b, live b", "b", "a"},
		{"the one before was never good", "add a, live a, good a, add b, live b, add c, live c", "c", "a"},
		{"the one before was bad", "add a, live a, good a, add b, live b, good b, bad b, add c, live c", "c", "a"},
		{"none was good", "add a, live a, add b, live b", "b", ""},
		{"good but never live", "add a, good a, add b, live b", "b", ""},
		{"after a roll-back", "add a, live a, good a, add b, live b, bad b, live a", "a", ""},
		{"after a roll-back, further back", "add a, live a, good a, add b, live b, good b, add c, live c, bad c, live b", "b", "a"},
		{"there and back", "add a, live a, good a, add b, live b, good b, live a", "a", "b"},
		{"a failed one passes later", "add a, live a, bad a, good a, add b, live b", "b", "a"},
		{"added again", "add a, live a, good a, add b, live b, add a", "b", "a"},
		{"the target's program is gone", "add a, live a, good a, add b, live b, good b, add c, live c, remove b", "c", "a"},
		{"the target's program was changed", "add a, live a, good a, add b, live b, good b, add c, live c, harm b", "c", "a"},
		{"changed, then added again", "add a, live a, good a, add b, live b, harm a, add a", "b", "a"},
		{"the target's record is torn", "add a, live a, good a, add b, live b, good b, add c, live c, tear b", "c", "a"},
		{"the live program is gone", "add a, live a, good a, add b, live b, remove b, add c", "b", "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStoreFixture(t)
			s.runSteps(test.steps)
			if live, target := s.currentLetter(), s.rollbackLetter(); live != test.live || target != test.target {
				t.Errorf("live %q, want %q; target %q, want %q", live, test.live, target, test.target)
			}
		})
	}
}

func TestStatusOfUnknownRelease(t *testing.T) {
	s := newStoreFixture(t)
	s.runSteps("add a")
	none := strings.Repeat("0", 64)
	for name, err := range map[string]error{
		"live": s.Store.SetCurrent(t.Context(), "user", none), "good": s.Store.MarkPassed(t.Context(), "user", none),
		"check": s.Store.VerifyContent(t.Context(), "user", none), "another process": s.Store.SetCurrent(t.Context(), "school", s.sums["a"]),
	} {
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.runSteps("remove a")
	if err := s.Store.SetCurrent(t.Context(), "user", s.sums["a"]); !errors.Is(err, ErrChanged) {
		t.Errorf("its program is gone: %v", err)
	}
}

func TestRetention(t *testing.T) {
	many := "add a, live a, good a, add b, live b, good b, add c, add d, add e, add f, add g, add h"
	tests := []struct {
		name  string
		keep  int
		bytes int64
		steps string
		want  string
	}{
		{"by default", 0, 0, many, "h g f b a"},
		{"as many as asked", 3, 0, many, "h b a"},
		{"the live and the good ones stay", 1, 0, many, "h b a"},
		{"more than asked", 8, 0, many, "h g f e d c b a"},
		{"by bytes", 8, 5 * 17, many, "h g f b a"},
		{"fewer bytes than what must stay", 8, 1, many, "h b a"},
		{"bad ones go first", 3, 0, "add a, add b, add c, bad c, add d", "d b a"},
		{"a bad one stays where there is room", 3, 0, "add a, bad a, add b, add c", "c b a"},
		{"what waits to go live stays while others go live", 3, 0, "add x, add a, live a, add b, live b, add c, live c, add d, live d", "d c x"},
		{"what was live and never found good goes first", 4, 0, "add a, live a, good a, add b, live b, add c, live c, good c, add d, live d, good d, add e", "e d c a"},
		{"but not once it was added again", 3, 0, "add a, live a, add b, live b, add c, live c, add a, add d, live d, add e", "e d a"},
		{"the live one stays though bad", 1, 0, "add a, live a, bad a, add b, add c", "c a"},
		{"the last good one stays though another was live since", 1, 0, "add a, live a, good a, add b, live b, bad b, add c, live c, add d", "d c a"},
		{"added again counts as new", 2, 0, "add a, add b, add a, add c", "c a"},
		{"a torn record is never removed", 1, 0, "add a, tear a, add b, add c", "c a"},
		{"without a program", 5, 0, "add a, add b, remove a, add c", "c b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStoreFixture(t)
			s.Store.Keep, s.Store.MaxBytes = test.keep, test.bytes
			s.runSteps(test.steps)
			if got := s.storedLetters(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			want := 2*len(strings.Fields(test.want)) + 1
			if files := s.listFiles(); len(files) != want {
				t.Errorf("%d files, want %d: %v", len(files), want, files)
			}
		})
	}
}

func TestFind(t *testing.T) {
	s := newStoreFixture(t)
	s.runSteps("add a, add b")
	for letter, version := range map[string]string{"a": "1.0", "b": "1.1"} {
		if err := s.Store.SetVersion(t.Context(), "user", s.sums[letter], version); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ name, wanted, want string }{
		{"version", "1.1", "b"},
		{"sum", s.sums["a"], "a"},
		{"beginning", s.sums["b"][:6], "b"},
		{"too short", s.sums["b"][:3], ""},
		{"nothing", "", ""},
		{"unknown", "2.0", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := s.Store.Find("user", test.wanted)
			if got := s.letterOf(r.Record.Verification.SHA256); got != test.want || (err != nil) != (test.want == "") || err != nil && !errors.Is(err, ErrUnknown) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if err := s.Store.SetVersion(t.Context(), "user", s.sums["a"], "1.1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store.Find("user", "1.1"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "2 releases") {
		t.Errorf("two of a version: %v", err)
	}
	names, err := s.Store.ProcessNames()
	if err != nil || !slices.Equal(names, []string{"user"}) {
		t.Errorf("%v, %v", names, err)
	}
	if names, err := (&Store{Dir: "/nonexistent"}).ProcessNames(); len(names) > 0 || err != nil {
		t.Errorf("an empty store: %v, %v", names, err)
	}
}

// TestForeignFiles checks that foreign files in the directory are neither listed, nor run, nor removed.
func TestForeignFiles(t *testing.T) {
	s := newStoreFixture(t)
	s.Store.Keep = 1
	s.runSteps("add a")
	dir := filepath.Join(s.Store.Dir, "user")
	sum := strings.Repeat("ab", 32)
	foreign := []string{"notes.txt", "user", sum, strings.Repeat("cd", 32) + ".json.bak", ".hidden", "x.json"}
	for _, name := range foreign {
		writeFile(t, filepath.Join(dir, name), []byte("mine"), 0o755, testTime)
	}
	for _, name := range []string{"sub", ".new-folder", strings.Repeat("ef", 32)} {
		writeFile(t, filepath.Join(dir, name, "file"), []byte("mine"), 0o755, testTime)
		foreign = append(foreign, name)
	}
	writeFile(t, filepath.Join(s.Store.Dir, "notes.txt"), []byte("mine"), 0o755, testTime)
	s.runSteps("add b, add c")
	if got := s.storedLetters(); got != "c" {
		t.Errorf("got %s", got)
	}
	for _, name := range foreign {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if names, err := s.Store.ProcessNames(); err != nil || !slices.Equal(names, []string{"user"}) {
		t.Errorf("%v, %v", names, err)
	}
	// A foreign file at the path of a release's program is replaced.
	text := "#!/bin/sh\necho z\n"
	source := writeScript(t, filepath.Join(t.TempDir(), "user"), "echo z")
	proof, err := Verify(t.Context(), source, Platform{})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, proof.SHA256), []byte("mine"), 0o755, testTime)
	if r, err := s.Store.Add(t.Context(), "user", source); err != nil {
		t.Error(err)
	} else if got, err := os.ReadFile(r.Path); string(got) != text {
		t.Errorf("%q, %v", got, err)
	}
}
