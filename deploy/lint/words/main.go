// Command words checks the language of this repository: the comments and messages of Go files, Markdown pages, YAML files and
// Makefiles. It prints each word of its list with the word to write instead, each link of a page that leads nowhere, each path that an
// overview page names and each test that a page names and that does not exist. It exits with 1 after a finding, and with 69 where it
// could not read the checkout.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run checks the checkout that -root names and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("words", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "root of the checkout")
	if err := flags.Parse(args); err != nil {
		return 64
	}
	findings, err := checkTree(*root)
	if err != nil {
		fmt.Fprintln(stderr, "words:", err)
		return 69
	}
	for _, f := range findings {
		fmt.Fprintln(stdout, f)
	}
	if len(findings) > 0 {
		fmt.Fprintf(stderr, "%d findings. An exception needs its reason in deploy/lint/words/exceptions.yaml\n", len(findings))
		return 1
	}
	return 0
}

// finding is one line to change.
type finding struct {
	path string
	line int // from 1
	word string
	hint string // what to write or do instead
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s → %s", f.path, f.line, f.word, f.hint)
}

// checkTree checks all files of the checkout that Git tracks or would track.
func checkTree(root string) ([]finding, error) {
	paths, err := listFiles(root)
	if err != nil {
		return nil, err
	}
	allowed, err := parseExceptions(exceptionsFile)
	if err != nil {
		return nil, err
	}
	var findings []finding
	pages, tests := map[string]string{}, map[string]bool{}
	for _, path := range paths {
		if extractor(path) == nil {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, path))
		if os.IsNotExist(err) { // deleted, and not committed yet
			continue
		}
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(path, ".md") {
			pages[path] = string(content)
		}
		if strings.HasSuffix(path, "_test.go") {
			collectTests(string(content), tests)
		}
		found, err := checkFile(path, string(content))
		if err != nil {
			return nil, err
		}
		findings = append(findings, allowed.filter(found, string(content))...)
	}
	findings = append(findings, allowed.unused()...)
	return slices.Concat(findings, checkReferences(pages, paths), checkTestNames(pages, tests)), nil
}

// listFiles returns the paths of all files that Git does not ignore, relative to the root and separated by slashes.
func listFiles(root string) ([]string, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", root, err)
	}
	return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00"), nil
}

// checkFile returns what the word list has against a file.
func checkFile(path, content string) ([]finding, error) {
	lines, err := extractor(path)(content)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var findings []finding
	for _, l := range lines {
		for _, r := range rules() {
			if r.comments && !l.comment {
				continue
			}
			if word := r.pattern.FindString(l.text); word != "" {
				findings = append(findings, finding{path, l.number, strings.TrimSpace(word), r.instead})
			}
		}
	}
	return findings, nil
}
