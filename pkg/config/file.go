package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// origin is where a value came from.
type origin struct {
	file string
	line int
}

// origins maps dotted keys to where their last value came from.
type origins map[string]origin

// readFile reads one layer and checks each key and type against shape.
func readFile(path string, shape reflect.Type, where origins) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{File: path, Expected: fmt.Sprintf("expected a readable file: %v", errors.Unwrap(err))}
	}
	return parseYAML(path, text, shape, where)
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

func parseYAML(path string, text []byte, shape reflect.Type, where origins) (map[string]any, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return map[string]any{}, nil // an empty layer
	} else if err != nil {
		e := &Error{File: path, Line: 1, Expected: "expected YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			e.Line, _ = strconv.Atoi(m[1])
			e.Expected = strings.Replace(e.Expected, m[0], "", 1)
		}
		return nil, e
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &Error{File: path, Expected: "expected one YAML document"}
	}
	r := reader{path: path, where: where}
	root := doc.Content[0]
	if isNull(root) {
		return map[string]any{}, nil
	}
	value, err := r.value(root, shape, "")
	if err != nil {
		return nil, err
	}
	return value.(map[string]any), nil
}

// reader turns YAML nodes into values of the types that the program declared.
type reader struct {
	path  string
	where origins
}

func (r reader) fail(n *yaml.Node, key, expected string) error {
	return &Error{File: r.path, Line: n.Line, Key: key, Expected: expected}
}

func (r reader) value(n *yaml.Node, t reflect.Type, key string) (any, error) {
	if n.Kind == yaml.AliasNode {
		return nil, r.fail(n, key, "expected no YAML alias")
	}
	wrong := func() error {
		got := n.Value
		if n.Kind != yaml.ScalarNode {
			got = map[yaml.Kind]string{yaml.MappingNode: "a group of keys", yaml.SequenceNode: "a list"}[n.Kind]
		}
		return r.fail(n, key, fmt.Sprintf("expected %s, got %q", describe(t), got))
	}
	switch {
	case t == secretType:
		return nil, r.fail(n, key, "expected no secret in a file: set it in the environment")
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		if n.Kind != yaml.MappingNode {
			return nil, wrong()
		}
		return r.mapping(n, t, key)
	}
	r.where[key] = origin{file: r.path, line: n.Line}
	if t.Kind() == reflect.Slice {
		return r.list(n, key, wrong)
	}
	if n.Kind != yaml.ScalarNode || isNull(n) {
		return nil, wrong()
	}
	return r.scalar(n, t, wrong)
}

func (r reader) mapping(n *yaml.Node, t reflect.Type, key string) (any, error) {
	out := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := strings.ToLower(k.Value) // as viper does
		full := name
		if key != "" {
			full = key + "." + name
		}
		ct := child(t, name)
		if ct == nil || k.Kind != yaml.ScalarNode || strings.Contains(name, ".") {
			return nil, r.fail(k, full, unknownKey(t, name))
		}
		if _, twice := out[name]; twice {
			return nil, r.fail(k, full, "expected each key once")
		}
		value, err := r.value(v, ct, full)
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

func (r reader) list(n *yaml.Node, key string, wrong func() error) (any, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, wrong()
	}
	out := []string{}
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || item.ShortTag() != "!!str" {
			return nil, r.fail(item, key, "expected a list of texts")
		}
		out = append(out, item.Value)
	}
	return out, nil
}

func (r reader) scalar(n *yaml.Node, t reflect.Type, wrong func() error) (any, error) {
	kinds := map[reflect.Kind]string{reflect.String: "!!str", reflect.Bool: "!!bool", reflect.Int: "!!int", reflect.Int64: "!!int", reflect.Float64: "!!float"}
	want := kinds[t.Kind()]
	if t == durationType {
		want = "!!str"
	}
	got := n.ShortTag()
	if got != want && !(want == "!!float" && got == "!!int") {
		return nil, wrong()
	}
	if want == "!!int" {
		var i int64
		if n.Decode(&i) != nil {
			return nil, wrong()
		}
		return i, nil
	}
	value, err := parseText(t, n.Value)
	if err != nil {
		return nil, wrong()
	}
	return value, nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
