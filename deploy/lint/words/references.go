package main

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	link         = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code         = regexp.MustCompile("`([^`\\s]+)`")
	heading      = regexp.MustCompile(`^#+ (.*)$`)
	declaredTest = regexp.MustCompile(`(?m)^func (Test\w+|Benchmark\w+|Fuzz\w+)\(`)
	notInSlugs   = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	quotedTest   = regexp.MustCompile("`(Test[A-Z]\\w*)`")
	braces       = regexp.MustCompile(`^(.*)\{([^{}]*)\}(.*)$`)
)

// overviews returns the pages whose paths in code quotes have to exist.
func overviews() []string {
	return []string{"README.md", "AGENTS.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md"}
}

// checkReferences checks that each link of a page leads to a file and a heading of this repository, and that each path in an
// overview exists. Links to other hosts are not followed.
func checkReferences(pages map[string]string, paths []string) []finding {
	exists := map[string]bool{}
	for _, p := range paths {
		for ; p != "." && !exists[p]; p = path.Dir(p) {
			exists[p] = true
		}
	}
	var findings []finding
	for name, content := range pages {
		fenced := false
		for i, line := range strings.Split(content, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			}
			if fenced {
				continue
			}
			for _, m := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, ""), -1) {
				if hint := checkLink(name, m[1], pages, exists); hint != "" {
					findings = append(findings, finding{name, i + 1, m[1], hint})
				}
			}
			if !slices.Contains(overviews(), name) {
				continue
			}
			for _, m := range code.FindAllStringSubmatch(line, -1) {
				for _, p := range expandBraces(m[1]) {
					if isRepositoryPath(p, exists) && !exists[strings.TrimSuffix(p, "/")] {
						findings = append(findings, finding{name, i + 1, p, "no such file or directory: name the one that there is"})
					}
				}
			}
		}
	}
	return sortFindings(findings)
}

// sortFindings sorts by path and line.
func sortFindings(findings []finding) []finding {
	slices.SortStableFunc(findings, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.path, b.path), cmp.Compare(a.line, b.line))
	})
	return findings
}

// collectTests adds the names of the tests, benchmarks and fuzz targets that a file declares.
func collectTests(content string, names map[string]bool) {
	for _, m := range declaredTest.FindAllStringSubmatch(content, -1) {
		names[m[1]] = true
	}
}

// checkTestNames checks that each test that a page names in code quotes is declared.
func checkTestNames(pages map[string]string, declared map[string]bool) []finding {
	var findings []finding
	for name, content := range pages {
		for i, line := range strings.Split(content, "\n") {
			for _, m := range quotedTest.FindAllStringSubmatch(line, -1) {
				if !declared[m[1]] {
					findings = append(findings, finding{name, i + 1, m[1], "no test has this name"})
				}
			}
		}
	}
	return sortFindings(findings)
}

// checkLink returns what is wrong with a link of a page, or "".
func checkLink(page, target string, pages map[string]string, exists map[string]bool) string {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(target, "#")
	if file == "" {
		file = page
	} else if file = path.Join(path.Dir(page), file); !exists[file] {
		return "the link leads to no file"
	}
	if content, ok := pages[file]; ok && anchor != "" && !slices.Contains(anchors(content), anchor) {
		return "the page has no such heading"
	}
	return ""
}

// anchors returns the anchors of a page's headings as GitHub makes them.
func anchors(content string) []string {
	var found []string
	for line := range strings.Lines(content) {
		if m := heading.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			slug := notInSlugs.ReplaceAllString(strings.ToLower(m[1]), "")
			found = append(found, strings.ReplaceAll(slug, " ", "-"))
		}
	}
	return found
}

// expandBraces returns the paths that a shell would make of services/{user,school}.
func expandBraces(p string) []string {
	m := braces.FindStringSubmatch(p)
	if m == nil {
		return []string{p}
	}
	var all []string
	for part := range strings.SplitSeq(m[2], ",") {
		all = append(all, expandBraces(m[1]+part+m[3])...)
	}
	return all
}

// isRepositoryPath reports whether a quoted word is meant as a path of this repository: it begins with one of its top-level
// directories, and has no place-holder in capitals or pattern in it. What is built or kept locally is in no top-level directory.
func isRepositoryPath(p string, exists map[string]bool) bool {
	first, rest, ok := strings.Cut(p, "/")
	return ok && rest != "" && exists[first] && !strings.ContainsAny(p, "*$<>:") && !regexp.MustCompile(`\b[A-Z]{2,}\b`).MatchString(p)
}
