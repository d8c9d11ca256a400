package processfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const maxSize = 1 << 20

// Load reads the process file at path. Variables come from its env file, then from lookup (the environment). It returns an
// *Error for each thing that is wrong, joined, if the file is invalid or cannot be read.
func Load(path string, lookup func(string) (string, bool)) (File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return File{}, fmt.Errorf("find the process file: %w", err)
	}
	content, err := readFile(abs)
	if err != nil {
		return File{}, &Error{Path: path, Text: err.Error()}
	}
	return parseContent(path, abs, content, lookup)
}

// RootDir returns the directory that the paths of a process file are relative to: the parent of configs/, else the file's own
// directory.
func RootDir(path string) string {
	dir := filepath.Dir(path)
	if filepath.Base(dir) == "configs" {
		return filepath.Dir(dir)
	}
	return dir
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if len(content) > maxSize {
		return nil, errors.New("is larger than 1 MiB")
	}
	return content, nil
}

// parseContent reads the content of a file. shown is the file's name in errors.
func parseContent(shown, path string, content []byte, lookup func(string) (string, bool)) (File, error) {
	d := decoder{file: shown, variables: lookup}
	top, err := d.readDocument(content)
	if err != nil {
		return File{}, err
	}
	root := RootDir(path)
	// The env file comes first wherever it stands: all other values may use its variables.
	env := map[string]string{}
	if err := d.eachEntry(place{node: top}, func(key string, at place) error {
		if key != "env_file" {
			return nil
		}
		return d.readEnvInto(env, root, at)
	}); err != nil {
		return File{}, err
	}
	d.variables = func(key string) (string, bool) {
		if value, ok := env[key]; ok {
			return value, true
		}
		return lookup(key)
	}
	var doc document
	doc.Defaults()
	if err := d.decodeStruct(place{node: top}, reflect.ValueOf(&doc).Elem()); err != nil {
		return File{}, err
	}
	var failed error
	_, nodes := findKey(top, "processes")
	for i := range doc.Processes {
		p := &doc.Processes[i]
		all := maps.Clone(env)
		failed = errors.Join(failed, d.readEnvFiles(all, root, p, nodes))
		p.resolve(root, all)
	}
	f := File{Path: path, Root: root, HTTP: doc.HTTP, Processes: doc.Processes}
	if err := errors.Join(failed, d.checkProcesses(f, nodes)); err != nil {
		return f, err
	}
	f.Processes = selectIncluded(f.Processes)
	return f, nil
}

// selectIncluded returns the processes whose condition is true, without it. They wait for none of the others.
func selectIncluded(all []Process) []Process {
	isExcluded := func(p Process) bool { return p.Condition == "false" }
	excluded := map[string]bool{}
	for _, p := range all {
		excluded[p.Name] = isExcluded(p)
	}
	included := slices.DeleteFunc(all, isExcluded)
	for i := range included {
		p := &included[i]
		p.Condition = ""
		if p.After = slices.DeleteFunc(p.After, func(name string) bool { return excluded[name] }); len(p.After) == 0 {
			p.After = nil // as it is in a file that was sent to the manager
		}
	}
	return included
}

// readEnvFiles reads the env files of a process over the values in env.
func (d decoder) readEnvFiles(env map[string]string, root string, p *Process, processes *yaml.Node) error {
	var failed error
	_, node := findKey(processes, p.Name)
	_, files := findKey(node, "env_files")
	for i := range p.EnvFiles {
		at := place{node: files.Content[i], key: fmt.Sprintf("processes.%s.env_files[%d]", p.Name, i)}
		failed = errors.Join(failed, d.readEnvInto(env, root, at))
	}
	return failed
}

// readEnvInto reads the env file that a value names.
func (d decoder) readEnvInto(env map[string]string, root string, at place) error {
	path, err := d.readText(at)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	more, err := readEnvFile(path)
	if _, ok := errors.AsType[*Error](err); err != nil && !ok {
		return d.newError(at, "%v", err)
	}
	maps.Copy(env, more)
	return err
}

// readEnvFile reads KEY=value lines. Values are not unquoted; empty lines and lines that start with # are skipped.
func readEnvFile(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	// Editors of other systems begin a file with a byte order mark.
	for i, line := range strings.Split(strings.TrimPrefix(string(content), "\ufeff"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || !variablePattern.MatchString(name) || strings.ContainsRune(value, 0) {
			// The line itself is not shown: it may be half of a secret.
			return nil, &Error{Path: path, Line: i + 1, Text: "expected KEY=value"}
		}
		env[name] = value
	}
	return env, nil
}

// yamlLine finds the line in the YAML library's own errors.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// readDocument parses a file of one YAML document.
func (d decoder) readDocument(content []byte) (*yaml.Node, error) {
	input := yaml.NewDecoder(bytes.NewReader(content))
	var doc, second yaml.Node
	err := input.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, d.newError(place{}, "is empty")
	}
	if err == nil {
		if again := input.Decode(&second); again == nil {
			return nil, d.newError(place{node: &second}, "expected one YAML document, found another")
		} else if !errors.Is(again, io.EOF) {
			err = again
		}
	}
	if err != nil {
		text := err.Error()
		at := yamlLine.FindStringSubmatch(text)
		line, _ := strconv.Atoi(at[1])
		text = strings.ReplaceAll(text[len(at[0]):], "\n", " ")
		return nil, &Error{Path: d.file, Line: line, Text: "not YAML: " + text}
	}
	return doc.Content[0], nil
}
