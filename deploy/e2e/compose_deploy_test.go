//go:build compose

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestComposeDeploy copies new programs into the mounted directory from this machine, in every way that people do it, while
// each service is under load through the gateway.
func TestComposeDeploy(t *testing.T) {
	backend := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(services(), "bootcheck") {
		run(t, "cp", filepath.Join(root, "bin", name), filepath.Join(backend, name))
	}
	t.Setenv("PGO_BACKEND", backend)
	s := &deployed{stack: newStackIn(t, "docker")}
	builds := map[string]string{}
	for _, service := range services() {
		builds[service] = s.build(t, service, "Next "+service)
	}
	writers := s.somePupils(t, 8) // one person's schools are made one after the other
	// What runs, and what it is replaced with: each way takes its service from one to the other.
	now, next := map[string]string{}, map[string]string{}
	for _, service := range services() {
		now[service], next[service] = filepath.Join(root, "bin", service), builds[service]
	}
	for _, way := range []struct {
		name, service string
		put           func(t *testing.T, from, to string)
	}{
		{"cp", "school", func(t *testing.T, from, to string) { run(t, "cp", from, to) }},
		{"cp", "user", func(t *testing.T, from, to string) { run(t, "cp", from, to) }},
		{"cat", "task", func(t *testing.T, from, to string) { run(t, "sh", "-c", `cat "$1" > "$2"`, "sh", from, to) }},
		{"cat", "school", func(t *testing.T, from, to string) { run(t, "sh", "-c", `cat "$1" > "$2"`, "sh", from, to) }},
		{"rsync --inplace", "user", func(t *testing.T, from, to string) { run(t, "rsync", "--checksum", "--inplace", from, to) }},
		{"rsync --inplace", "school", func(t *testing.T, from, to string) { run(t, "rsync", "--checksum", "--inplace", from, to) }},
		{"rsync", "task", func(t *testing.T, from, to string) { run(t, "rsync", "--checksum", from, to) }},
		{"scp", "school", scp},
		{"mv", "user", func(t *testing.T, from, to string) {
			run(t, "cp", from, to+".new")
			run(t, "mv", to+".new", to)
		}},
		{"a slow upload", "school", func(t *testing.T, from, to string) {
			run(t, "rsync", "--checksum", "--inplace", "--bwlimit=8m", from, to)
		}},
		{"half of it, and then all", "task", func(t *testing.T, from, to string) {
			half(t, from, to)
			s.changes(t, "task", "half a program is refused", func(c change) bool { return strings.Contains(c.Reason, "not taken: ") })
			run(t, "cp", from, to)
		}},
	} {
		t.Run(way.name+", "+way.service, func(t *testing.T) {
			s.t = t
			for i := range writers {
				s.signIn(t, &writers[i]) // the test outlives a token
			}
			s.since = time.Now()
			posts := s.load(t, 500, s.aPost(way.service, writers))
			writes := s.load(t, 20, post{path: "/api/v1/schools", by: writers, body: map[string]string{"name": "School", "timezone": "Europe/Berlin"}, status: 201})
			way.put(t, next[way.service], filepath.Join(backend, way.service))
			put := time.Now()
			want := s.title(t, next[way.service])
			s.eventually(t, "the new program answers through the gateway", func() error { return s.answers(way.service, want) })
			t.Logf("it answers %s after it was whole", time.Since(put).Round(10*time.Millisecond))
			s.changes(t, way.service, "the old process has drained", func(c change) bool { return c.From == "draining" && c.To == "stopped" })
			posts.none(t, "POST to "+way.service)
			writes.none(t, "acknowledged POST to school")
			s.schoolsAreThere(t, writers, writes.kept)
			now[way.service], next[way.service] = next[way.service], now[way.service]
		})
		s.t = t
	}
}

// run runs a program of this machine.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// scp writes as scp does on the other machine, where it speaks to this server.
func scp(t *testing.T, from, to string) {
	t.Helper()
	const server = "/usr/lib/openssh/sftp-server"
	if _, err := os.Stat(server); err != nil {
		t.Fatalf("%v (package openssh-sftp-server)", err)
	}
	run(t, "scp", "-D", server, from, "other:"+to)
}

// half writes the first half of a program.
func half(t *testing.T, from, to string) {
	t.Helper()
	whole, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, whole[:len(whole)/2], 0o755); err != nil {
		t.Fatal(err)
	}
}

// build builds a service whose specification has another title, so that people can tell who answers.
func (s *stack) build(t *testing.T, service, title string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(s.root, "services", service, "openapi", "swagger.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := s.specTitle(t, text)
	other := strings.Replace(string(text), `"title": "`+old+`"`, `"title": "`+title+`"`, 1)
	if other == string(text) {
		t.Fatalf("%s has no title", path)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: filepath.Join(dir, "swagger.json")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"swagger.json": other, "overlay.json": string(overlay)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, service)
	cmd := exec.Command("go", "build", "-trimpath", "-overlay", filepath.Join(dir, "overlay.json"), "-ldflags", "-s -w -X pgo/pkg/buildinfo.version=next",
		"-o", program, "./cmd/"+service)
	cmd.Dir, cmd.Env = filepath.Join(s.root, "services", service), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", service, err, out)
	}
	return program
}

func (s *stack) specTitle(t *testing.T, spec []byte) string {
	t.Helper()
	var said struct{ Info struct{ Title string } }
	if err := json.Unmarshal(spec, &said); err != nil || said.Info.Title == "" {
		t.Fatalf("no title: %v", err)
	}
	return said.Info.Title
}

// title is the title that a program's specification has.
func (s *stack) title(t *testing.T, program string) string {
	t.Helper()
	service := filepath.Base(program)
	if filepath.Dir(program) != filepath.Join(s.root, "bin") {
		return "Next " + service
	}
	text, err := os.ReadFile(filepath.Join(s.root, "services", service, "openapi", "swagger.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s.specTitle(t, text)
}

// answers tells who answers for a service through the gateway.
func (s *stack) answers(service, want string) error {
	a, err := s.expect(200, "GET", "/services/"+service+"/openapi.json", "", nil)
	if err != nil {
		return err
	}
	info, _ := a.JSON["info"].(map[string]any)
	if info["title"] != want {
		return fmt.Errorf("%v answers, not %s", info["title"], want)
	}
	return nil
}

// deployed is a stack whose runtime is looked at.
type deployed struct {
	*stack

	since time.Time
}

// change is a change of a process's state, as pgo says it to the container's log.
type change struct {
	Process, From, To, Reason string
}

// changes waits until one is there, of those that were since the step began. The log costs less than a command inside.
func (s *deployed) changes(t *testing.T, service, what string, is func(change) bool) {
	t.Helper()
	id := s.inspect("runtime").ID
	s.eventually(t, what, func() error {
		last := ""
		for line := range strings.Lines(s.docker("logs", "--since", s.since.Format(time.RFC3339Nano), id)) {
			var c change
			if json.Unmarshal([]byte(line), &c) != nil || c.Process != service {
				continue // not pgo's
			}
			if is(c) {
				return nil
			}
			last = line
		}
		return fmt.Errorf("the last is %s", last)
	})
}

// schoolsAreThere looks for every school that somebody was told to have.
func (s *stack) schoolsAreThere(t *testing.T, owners []person, ids []string) {
	t.Helper()
	there := map[string]bool{}
	for _, owner := range owners {
		const list = "/api/v1/schools?limit=100"
		for path := list; path != ""; {
			a := s.want(t, 200, "GET", path, owner.token, nil)
			items, _ := a.JSON["items"].([]any)
			for _, item := range items {
				school, _ := item.(map[string]any)
				id, _ := school["id"].(string)
				there[id] = true
			}
			if path = a.text("next_cursor"); path != "" {
				path = list + "&cursor=" + path
			}
		}
	}
	for _, id := range ids {
		if !there[id] {
			t.Errorf("the acknowledged school %s is not there", id)
		}
	}
	if len(ids) == 0 {
		t.Error("nothing was ever acknowledged")
	}
}

// eventually is testkit.Eventually for what containers take longer for.
func (s *stack) eventually(t testing.TB, what string, cond func() error) {
	t.Helper()
	const limit = 5 * time.Minute
	err := errors.New("never tried")
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		if err = cond(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %v: %v", what, limit, err)
}
