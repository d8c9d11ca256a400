package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed exceptions.yaml
var exceptionsFile []byte

// exception allows a word in some files.
type exception struct {
	Path   string `yaml:"path"` // a pattern of path.Match, or a directory with a slash at its end
	Word   string `yaml:"word"` // empty: every word
	Line   string `yaml:"line"` // text that the line has; empty: every line
	Reason string `yaml:"reason"`
	used   bool
}

type exceptions []*exception

// parseExceptions reads the list. Each exception needs a path and a reason.
func parseExceptions(text []byte) (exceptions, error) {
	var list exceptions
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("read exceptions.yaml: %w", err)
	}
	for i, e := range list {
		if e.Path == "" || e.Reason == "" {
			return nil, fmt.Errorf("exceptions.yaml: exception %d needs a path and a reason", i+1)
		}
		if _, err := path.Match(e.Path, ""); err != nil {
			return nil, fmt.Errorf("exceptions.yaml: %s: %w", e.Path, err)
		}
	}
	return list, nil
}

func (e *exception) allows(f finding, line string) bool {
	matches, _ := path.Match(e.Path, f.path)
	if strings.HasSuffix(e.Path, "/") {
		matches = strings.HasPrefix(f.path, e.Path)
	}
	return matches && (e.Word == "" || strings.EqualFold(e.Word, f.word)) && strings.Contains(line, e.Line)
}

// filter returns the findings of one file that no exception allows, and remembers which exceptions were used.
func (list exceptions) filter(findings []finding, content string) []finding {
	lines := strings.Split(content, "\n")
	var kept []finding
	for _, f := range findings {
		allowed := false
		for _, e := range list {
			if e.allows(f, lines[f.line-1]) {
				allowed, e.used = true, true
			}
		}
		if !allowed {
			kept = append(kept, f)
		}
	}
	return kept
}

// unused returns a finding for each exception that allowed nothing.
func (list exceptions) unused() []finding {
	var findings []finding
	for i, e := range list {
		if !e.used {
			findings = append(findings, finding{"deploy/lint/words/exceptions.yaml", i + 1, "exception " + e.Path + " " + e.Word, "nothing needs it: remove it"})
		}
	}
	return findings
}
