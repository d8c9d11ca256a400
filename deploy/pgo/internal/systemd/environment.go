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

// source is a process file before variables are replaced. In a loaded process file they are values, and secrets cannot
// be told from the rest any more.
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

// environmentOf returns the env files of a process, its own values that are no secrets, and the names of those that may
// be secrets.
func (s source) environmentOf(p processfile.Process, lookup func(string) (string, bool)) (files []string, values map[string]string, secrets []string) {
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
	values = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(raw.Env)) {
		if node := raw.Env[key]; mayBeSecret(key, node.Value) {
			secrets = append(secrets, key)
		} else {
			values[key] = p.Env[key]
		}
	}
	return files, values, secrets
}

var variable = regexp.MustCompile(`\$\{[^}]*\}`)

// mayBeSecret reports whether a value may be a secret: by itself, or because it comes from a variable that may be one.
func mayBeSecret(key, raw string) bool {
	if processfile.IsHarmlessName(key) {
		return false
	}
	if processfile.MayBeSecret(key, raw) {
		return true
	}
	for _, found := range variable.FindAllString(raw, -1) {
		name, _, _ := strings.Cut(strings.Trim(found, "${}"), ":-")
		if !processfile.IsHarmlessName(name) {
			return true
		}
	}
	return false
}
