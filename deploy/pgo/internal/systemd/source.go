package systemd

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pgo/deploy/pgo/internal/processfile"
)

// source is what the process file says in its own words: in what was read from it variables are values by now, and
// nobody can tell any more which of those are secrets.
type source struct {
	root      string
	EnvFile   string `yaml:"env_file"`
	Processes map[string]struct {
		EnvFiles []string             `yaml:"env_files"`
		Env      map[string]yaml.Node `yaml:"env"`
	} `yaml:"processes"`
}

func readSource(path string) (source, error) {
	s := source{root: processfile.RootDir(path)}
	content, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(content, &s)
	}
	if err != nil {
		return s, fmt.Errorf("export: %w", err)
	}
	return s, nil
}

// environment returns the env files of a process, the values of its own that are no secrets, and the names of those
// that may be.
func (s source) environment(p processfile.Process, lookup func(string) (string, bool)) (files []string, own map[string]string, left []string) {
	raw := s.Processes[p.Name]
	for _, file := range append([]string{s.EnvFile}, raw.EnvFiles...) {
		if file == "" {
			continue
		}
		file = variable.ReplaceAllStringFunc(file, func(found string) string {
			name, fallback, _ := strings.Cut(strings.Trim(found, "${}"), ":-")
			if value, ok := p.Env[name]; ok && value != "" {
				return value
			}
			if value, ok := lookup(name); ok && value != "" {
				return value
			}
			return fallback
		})
		if !filepath.IsAbs(file) {
			file = filepath.Join(s.root, file)
		}
		files = append(files, file)
	}
	own = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(raw.Env)) {
		if node := raw.Env[key]; secret(key, node.Value) {
			left = append(left, key)
		} else {
			own[key] = p.Env[key]
		}
	}
	return files, own, left
}

var (
	variable = regexp.MustCompile(`\$\{[^}]*\}`)
	delicate = regexp.MustCompile(`(?i)PASSW|SECRET|TOKEN|CREDENTIAL|PRIVATE|(^|_)KEY($|_)|(^|_)(DSN|AUTH)$`)
	harmless = regexp.MustCompile(`_(FILE|ADDR|PORT|HTTP|DIR|HOME|PATH|API)$`)
)

// secret tells whether a value may be one: by its name, by a name and password in a URL, or because it comes from a
// variable that may be one.
func secret(key, raw string) bool {
	if harmless.MatchString(key) {
		return false // an address, or where the secret is
	}
	if delicate.MatchString(key) || regexp.MustCompile(`://[^/]*@`).MatchString(raw) {
		return true
	}
	for _, found := range variable.FindAllString(raw, -1) {
		name, _, _ := strings.Cut(strings.Trim(found, "${}"), ":-")
		if !harmless.MatchString(name) {
			return true
		}
	}
	return false
}
