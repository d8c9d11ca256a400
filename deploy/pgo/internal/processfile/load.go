package processfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxSize = 1 << 20
	version = "1"
)

// Load reads the process file at path. Variables come from its env file, then from lookup (the environment).
// What is wrong with the file is an *Error; a file that cannot be read is one too.
func Load(path string, lookup func(string) (string, bool)) (File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return File{}, fmt.Errorf("find the process file: %w", err)
	}
	content, err := readFile(abs)
	if err != nil {
		return File{}, &Error{File: path, Text: err.Error()}
	}
	return parse(path, abs, content, lookup)
}

// RootDir is the folder that a process file speaks of: the parent of configs/, else the file's own folder.
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

// parse reads content. shown is the file's name in errors.
func parse(shown, path string, content []byte, lookup func(string) (string, bool)) (File, error) {
	r := reader{file: shown, vars: lookup}
	f := File{Path: path, Root: RootDir(path), HTTP: HTTP{Addr: defaultHTTP}}
	top, err := r.document(content)
	if err != nil {
		return File{}, err
	}
	// The env file comes first wherever it stands: all other values may use its variables.
	env, err := r.envFile(top, f.Root)
	if err != nil {
		return File{}, err
	}
	r.vars = func(key string) (string, bool) {
		if value, ok := env[key]; ok {
			return value, true
		}
		return lookup(key)
	}
	seen := map[string]bool{}
	nodes := map[string]*yaml.Node{}
	known := r.top(seen, &f.HTTP, func(name string, at place) error {
		p, err := r.process(name, at, f.Root, env)
		nodes[name] = at.node
		f.Processes = append(f.Processes, p)
		return err
	})
	if err := r.fields(place{node: top}, known); err != nil {
		return File{}, err
	}
	for _, key := range []string{"version", "processes"} {
		if !seen[key] {
			return File{}, r.fail(place{key: key}, "is missing")
		}
	}
	if len(f.Processes) == 0 {
		return File{}, r.fail(place{key: "processes"}, "is empty")
	}
	if err := r.together(f, nodes); err != nil {
		return File{}, err
	}
	return f, nil
}

// yamlLine finds the line in the YAML library's own errors.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func (r reader) document(content []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, r.fail(place{}, "is empty")
	}
	if err == nil {
		if again := decoder.Decode(&second); again == nil {
			return nil, r.fail(place{node: &second}, "expected one YAML document, found another")
		} else if !errors.Is(again, io.EOF) {
			err = again
		}
	}
	if err != nil {
		text := err.Error()
		at := yamlLine.FindStringSubmatch(text)
		line, _ := strconv.Atoi(at[1])
		text = strings.ReplaceAll(text[len(at[0]):], "\n", " ")
		return nil, &Error{File: r.file, Line: line, Text: "not YAML: " + text}
	}
	return doc.Content[0], nil
}

// top is the file's own mapping. seen gets the keys that are there.
func (r reader) top(seen map[string]bool, http *HTTP, process func(name string, at place) error) fields {
	var none Process
	processes := r.each(r.processFields(&none, "", nil).form("command"), process)
	read := processes.read
	processes.read = func(at place) error { seen["processes"] = true; return read(at) }
	return fields{
		"version": {func(at place) error {
			seen["version"] = true
			if at.node.Value != version || at.node.Kind != yaml.ScalarNode {
				return r.fail(at, "expected %s, found %s", version, describe(at.node))
			}
			return nil
		}, map[string]any{"const": 1}},
		"env_file": field{func(place) error { return nil }, map[string]any{"type": "string"}}.
			says("KEY=value lines. Variables of this file, and in every process's environment."),
		"http":      r.http(http),
		"processes": processes,
	}
}

// envFile reads the file that env_file names, before all else.
func (r reader) envFile(top *yaml.Node, root string) (map[string]string, error) {
	env := map[string]string{}
	err := r.entries(place{node: top}, func(key string, at place) error {
		if key != "env_file" {
			return nil
		}
		return r.readEnvInto(at, root, env)
	})
	return env, err
}

// readEnvInto reads the env file that a value names.
func (r reader) readEnvInto(at place, root string, env map[string]string) error {
	var path string
	if err := r.text(at, &path); err != nil {
		return err
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	more, err := readEnv(path)
	var wrong *Error
	if err != nil && !errors.As(err, &wrong) {
		return r.fail(at, "%v", err)
	}
	maps.Copy(env, more)
	return err
}
