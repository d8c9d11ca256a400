package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// origin locates a value.
type origin struct {
	file string
	line int
}

// origins maps dotted keys to the origin of their last value.
type origins map[string]origin

// mergeFile checks one layer and merges it into v. Both work on the same bytes: a file that is replaced meanwhile does not come
// between.
func mergeFile(v *viper.Viper, path string, shape reflect.Type, where origins) error {
	text, err := readFile(path, maxLayer)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the path
		}
		return &Error{File: path, Expected: fmt.Sprintf("expected a readable file: %v", err)}
	}
	if err := checkYAML(path, text, shape, where); err != nil {
		return err
	}
	if err := v.MergeConfig(bytes.NewReader(text)); err != nil {
		return &Error{File: path, Expected: "expected YAML: " + err.Error()}
	}
	return nil
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// checkYAML checks each key and each value's type against shape, and records where the values are.
func checkYAML(path string, text []byte, shape reflect.Type, where origins) error {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil // an empty layer
	} else if err != nil {
		return newSyntaxError(path, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return &Error{File: path, Expected: "expected one YAML document"}
	}
	root := doc.Content[0]
	if isNull(root) {
		return nil
	}
	return checker{path: path, where: where}.checkValue(root, shape, "")
}

// newSyntaxError moves the line from the library's text into the Error.
func newSyntaxError(path string, err error) *Error {
	e := &Error{File: path, Line: 1, Expected: "expected YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Expected = strings.Replace(e.Expected, m[0], "", 1)
	}
	return e
}

// checker compares YAML nodes with the types that the program declared. Viper cannot: it decodes maps, which have no lines.
type checker struct {
	path  string
	where origins
}

func (r checker) newError(n *yaml.Node, key, expected string) error {
	return &Error{File: r.path, Line: n.Line, Key: key, Expected: expected}
}

func (r checker) newTypeError(n *yaml.Node, t reflect.Type, key string) error {
	got := n.Value
	if n.Kind != yaml.ScalarNode {
		got = map[yaml.Kind]string{yaml.MappingNode: "a group of keys", yaml.SequenceNode: "a list"}[n.Kind]
	}
	return r.newError(n, key, fmt.Sprintf("expected %s, got %q", describeType(t), got))
}

func (r checker) checkValue(n *yaml.Node, t reflect.Type, key string) error {
	if n.Kind == yaml.AliasNode {
		return r.newError(n, key, "expected no YAML alias")
	}
	switch {
	case t == secretType:
		return r.newError(n, key, "expected no secret in a file: set it in the environment")
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		if n.Kind != yaml.MappingNode {
			return r.newTypeError(n, t, key)
		}
		return r.checkMapping(n, t, key)
	}
	r.where[key] = origin{file: r.path, line: n.Line}
	if t.Kind() == reflect.Slice {
		return r.checkList(n, t, key)
	}
	if n.Kind != yaml.ScalarNode || isNull(n) || !isScalarOf(n, t) {
		return r.newTypeError(n, t, key)
	}
	return nil
}

func (r checker) checkMapping(n *yaml.Node, t reflect.Type, key string) error {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := strings.ToLower(k.Value) // as viper does
		full := name
		if key != "" {
			full = key + "." + name
		}
		if k.ShortTag() == "!!merge" {
			return r.newError(k, key, "expected no YAML merge")
		}
		ct := childType(t, name)
		if ct == nil || k.Kind != yaml.ScalarNode || strings.Contains(name, ".") {
			return r.newError(k, full, describeKnownKeys(t, name))
		}
		if seen[name] {
			return r.newError(k, full, "expected each key once")
		}
		seen[name] = true
		if err := r.checkValue(v, ct, full); err != nil {
			return err
		}
	}
	return nil
}

func (r checker) checkList(n *yaml.Node, t reflect.Type, key string) error {
	if n.Kind != yaml.SequenceNode {
		return r.newTypeError(n, t, key)
	}
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || item.ShortTag() != "!!str" {
			return r.newError(item, key, "expected a list of texts")
		}
	}
	return nil
}

// isScalarOf reports whether the node is written as a value of type t: no quoted numbers, no numbers for a text.
func isScalarOf(n *yaml.Node, t reflect.Type) bool {
	tags := map[reflect.Kind]string{reflect.String: "!!str", reflect.Bool: "!!bool", reflect.Int: "!!int", reflect.Int64: "!!int", reflect.Float64: "!!float"}
	want := tags[t.Kind()]
	if t == durationType {
		want = "!!str"
	}
	got := n.ShortTag()
	if got != want && !(want == "!!float" && got == "!!int") {
		return false
	}
	if want == "!!int" {
		var i int64
		return n.Decode(&i) == nil
	}
	_, err := parseText(t, n.Value)
	return err == nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
