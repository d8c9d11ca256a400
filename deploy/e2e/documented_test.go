package e2e

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// documentedCommands runs the commands of the README's quick start, and every curl of the docs, as a reader does.
func documentedCommands(t *testing.T, s *stack) {
	commands := map[string]string{"README.md": quickStart(t, s)}
	inline := regexp.MustCompile("`(curl [^`]+)`")
	err := filepath.WalkDir(filepath.Join(s.root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range inline.FindAllStringSubmatch(string(text), -1) {
			// An option that is mentioned is not a command.
			if strings.Contains(found[1], "/") {
				commands[filepath.Base(path)+": "+found[1]] = found[1]
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(commands) < 6 {
		t.Errorf("only %d commands are found", len(commands))
	}
	t.Cleanup(func() { // a documented command sets the level debug
		if out, err := s.shell(t, `curl -X PUT -d '{"level":"info"}' http://ADMIN/loglevel`); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	for name, command := range commands {
		t.Run(name, func(t *testing.T) {
			if out, err := s.shell(t, command); err != nil {
				t.Errorf("%v\n%s\n%s", err, command, out)
			} else if strings.TrimSpace(out) == "" && !strings.Contains(command, "/-/reload") {
				t.Errorf("it prints nothing: %s", command)
			}
		})
	}
}

// quickStart returns the script of the README without the commands that bring the stack up and that print its whole log.
func quickStart(t *testing.T, s *stack) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\nmake up\n(.*?)```").FindStringSubmatch(string(text))
	if block == nil {
		t.Fatal("README.md has no quick start")
	}
	return strings.ReplaceAll(strings.ReplaceAll(block[1], "make logs s=user", "bin/pgo logs user"), ".pgo/", s.home+"/")
}

// shell runs a documented script at this stack's addresses. An answer with an error status is an error.
func (s *stack) shell(t *testing.T, script string) (string, error) {
	t.Helper()
	script = regexp.MustCompile(`127\.0\.0\.1:(\d+)`).ReplaceAllStringFunc(script, func(addr string) string {
		port, err := strconv.Atoi(addr[len("127.0.0.1:"):])
		if err != nil {
			t.Fatal(err)
		}
		return "127.0.0.1:" + strconv.Itoa(port+s.offset)
	})
	var list []struct {
		Name      string
		Listeners map[string]string
	}
	if err := json.Unmarshal([]byte(s.must("pgo", "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.Name == "user" {
			script = strings.ReplaceAll(script, "ADMIN", p.Listeners["admin"])
		}
	}
	script = strings.ReplaceAll(script, "ADDRESS", "127.0.0.1:"+strconv.Itoa(9090+s.offset))
	cmd := exec.Command("sh", "-euc", "curl() { command curl --fail-with-body --no-progress-meter \"$@\"; }\n"+script)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "PGO_HOME="+s.home)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
