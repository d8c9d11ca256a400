package pipelines

import (
	"slices"
	"strings"
	"testing"
)

// gitlabFile has the keys of GitLab's format that this repository uses, by its reference of keywords. Another key is an error: GitLab
// itself would take it for a job.
type gitlabFile struct {
	Stages   []string `yaml:"stages"`
	Workflow struct {
		Rules []gitlabRule `yaml:"rules"`
	} `yaml:"workflow"`
	Default   gitlabJob            `yaml:"default"`
	Variables map[string]string    `yaml:"variables"`
	Jobs      map[string]gitlabJob `yaml:",inline"`
}

type gitlabRule struct {
	If           string `yaml:"if"`
	When         string `yaml:"when"`
	AllowFailure bool   `yaml:"allow_failure"`
}

type gitlabJob struct {
	Stage         string            `yaml:"stage"`
	Extends       string            `yaml:"extends"`
	Image         string            `yaml:"image"`
	Timeout       string            `yaml:"timeout"`
	Interruptible *bool             `yaml:"interruptible"`
	Needs         []string          `yaml:"needs"`
	BeforeScript  []string          `yaml:"before_script"`
	Script        []string          `yaml:"script"`
	Variables     map[string]string `yaml:"variables"`
	Rules         []gitlabRule      `yaml:"rules"`
	ResourceGroup string            `yaml:"resource_group"`
	Environment   struct {
		Name string `yaml:"name"`
		URL  string `yaml:"url"`
	} `yaml:"environment"`
	Artifacts struct {
		Paths    []string `yaml:"paths"`
		ExpireIn string   `yaml:"expire_in"`
	} `yaml:"artifacts"`
	Cache any `yaml:"cache"`
}

// script follows extends.
func (f gitlabFile) script(job gitlabJob) []string {
	for job.Script == nil && job.Extends != "" {
		job = f.Jobs[job.Extends]
	}
	return job.Script
}

func (f gitlabFile) rules(job gitlabJob) []gitlabRule {
	for job.Rules == nil && job.Extends != "" {
		job = f.Jobs[job.Extends]
	}
	return job.Rules
}

func TestGitLab(t *testing.T) {
	var f gitlabFile
	read(t, ".gitlab-ci.yml", &f)
	for name, job := range f.Jobs {
		if job.Extends != "" && f.Jobs[job.Extends].Timeout+f.Jobs[job.Extends].Extends == "" {
			t.Errorf("%s extends %q, which is not there", name, job.Extends)
		}
		if strings.HasPrefix(name, ".") {
			continue // a template
		}
		if !slices.Contains(f.Stages, job.Stage) {
			t.Errorf("%s is of stage %q, which is not there", name, job.Stage)
		}
		if len(f.script(job)) == 0 {
			t.Errorf("%s does nothing", name)
		}
		for _, other := range job.Needs {
			if f.Jobs[other].Stage == "" {
				t.Errorf("%s needs %q, which is not there", name, other)
			}
		}
		for _, rule := range f.rules(job) {
			if rule.When != "" && rule.When != "manual" {
				t.Errorf("%s: when: %q", name, rule.When)
			}
		}
		if env := job.Environment.Name; env != "" && job.ResourceGroup != env {
			t.Errorf("%s: two deploys of %s may overlap", name, env)
		}
	}
	if rules := f.rules(f.Jobs["production"]); len(rules) != 1 || rules[0].When != "manual" || rules[0].AllowFailure {
		t.Errorf("production does not wait for approval: %+v", rules)
	}
}
