package pipelines

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const root = "../.."

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(strings.HasPrefix(path, ".gitlab")) // actionlint knows those of GitHub
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// githubFile has the parts of a workflow that are compared.
type githubFile struct {
	Jobs map[string]struct {
		Needs any
		Uses  string
		With  map[string]string
		Steps []struct{ Uses, Run string }
	}
	Concurrency struct {
		Group  string
		Cancel bool `yaml:"cancel-in-progress"`
	}
}

func (f githubFile) runs(job string) []string {
	var lines []string
	for _, step := range f.Jobs[job].Steps {
		if step.Run != "" {
			lines = append(lines, step.Run)
		}
	}
	return lines
}

func workflow(t *testing.T, name string) githubFile {
	t.Helper()
	var f githubFile
	read(t, ".github/workflows/"+name, &f)
	return f
}

// Both do the same, whichever a team has.
func TestSameStages(t *testing.T) {
	var lab gitlabFile
	read(t, ".gitlab-ci.yml", &lab)
	hub := workflow(t, "pipeline.yml")
	want := []string{"lint", "test", "build", "scan", "staging", "production"}
	if diff := cmp.Diff(want, lab.Stages); diff != "" {
		t.Errorf("GitLab's stages:\n%s", diff)
	}
	for _, stage := range want {
		if _, ok := hub.Jobs[stage]; !ok || len(hub.Jobs) != len(want) {
			t.Errorf("GitHub's jobs have no %s, or others", stage)
		}
	}
	for _, stage := range want[:4] {
		if diff := cmp.Diff(hub.runs(stage), lab.script(lab.Jobs[stage])); diff != "" || len(hub.runs(stage)) == 0 {
			t.Errorf("%s differs (- GitHub, + GitLab):\n%s", stage, diff)
		}
	}
	for _, env := range want[4:] {
		if job := hub.Jobs[env]; job.Uses != "./.github/workflows/deploy.yml" || job.With["environment"] != env {
			t.Errorf("%s on GitHub: %+v", env, job)
		}
		deploy := targets(workflow(t, "deploy.yml").runs("deploy"))
		if diff := cmp.Diff(deploy, targets(lab.script(lab.Jobs[env]))); diff != "" || len(deploy) != 3 {
			t.Errorf("%s differs (- GitHub, + GitLab):\n%s", env, diff)
		}
	}
	for _, name := range []string{"deploy.yml", "rollback.yml"} {
		if c := workflow(t, name).Concurrency; c.Group != "deploy-${{ inputs.environment }}" || c.Cancel {
			t.Errorf("%s: two deploys may overlap: %+v", name, c)
		}
	}
}

// targets returns what make is asked for, in order.
func targets(lines []string) []string {
	var found []string
	for _, m := range regexp.MustCompile(`\bmake ([a-z-]+)`).FindAllStringSubmatch(strings.Join(lines, "\n"), -1) {
		found = append(found, m[1])
	}
	return found
}

// What a pipeline asks make for is there. Make itself is not asked: what has $(MAKE) in it runs even with --dry-run.
func TestTargets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range targets([]string{regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(string(text), "")}) {
			if !strings.Contains(string(makefile), "\n"+target+":") {
				t.Errorf("%s: there is no make %s", path, target)
			}
		}
	}
}

// A tag can be moved to other code, a commit cannot.
func TestPinned(t *testing.T) {
	uses := regexp.MustCompile(`uses:\s*(\S+)(.*)`)
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40}$`)
	for _, path := range files(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range uses.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(m[1], "./") && (!pinned.MatchString(m[1]) || !strings.Contains(m[2], "# v")) {
				t.Errorf("%s takes %s: not a commit with its version beside it", path, m[1])
			}
		}
	}
}

// A secret on a command line is in every list of processes.
func TestNoSecretOnACommandLine(t *testing.T) {
	for _, name := range []string{"pipeline.yml", "deploy.yml", "rollback.yml"} {
		f := workflow(t, name)
		for job := range f.Jobs {
			for _, line := range f.runs(job) {
				if strings.Contains(line, "secrets.") || strings.Contains(line, "${{") || strings.Contains(line, "DEPLOY_KEY") {
					t.Errorf("%s: %s", name, line)
				}
			}
		}
	}
	var lab gitlabFile
	read(t, ".gitlab-ci.yml", &lab)
	for name, job := range lab.Jobs {
		if slices.ContainsFunc(job.Script, func(line string) bool { return strings.Contains(line, "DEPLOY_KEY") }) {
			t.Errorf("%s: %v", name, job.Script)
		}
	}
}

func files(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	return append(found, filepath.Join(root, ".gitlab-ci.yml"))
}
