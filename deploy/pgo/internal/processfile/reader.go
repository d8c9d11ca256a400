package processfile

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader takes values out of YAML nodes. Its methods name the place in every error.
type reader struct {
	file string // as errors show it
	vars func(key string) (string, bool)
}

// place is a node and the key that leads to it.
type place struct {
	node *yaml.Node
	key  string
	line int // of the key, where there is one: a value may begin lines below it
}

func (r reader) fail(at place, format string, args ...any) error {
	line := at.line
	if line == 0 && at.node != nil {
		line = at.node.Line
	}
	return &Error{File: r.file, Line: line, Key: at.key, Text: fmt.Sprintf(format, args...)}
}

func (p place) under(key string) string {
	if p.key == "" {
		return key
	}
	return p.key + "." + key
}

// entries calls each for every key of a mapping, in order. A key may be there once.
func (r reader) entries(at place, each func(key string, at place) error) error {
	if at.node.Kind != yaml.MappingNode {
		return r.fail(at, "expected a mapping, found %s", describe(at.node))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(at.node.Content); i += 2 {
		k, v := at.node.Content[i], at.node.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			return r.fail(place{key: at.key, line: k.Line}, "expected a name as key, found %s", describe(k))
		}
		entry := place{node: v, key: at.under(k.Value), line: k.Line}
		if seen[k.Value] {
			return r.fail(entry, "is there twice")
		}
		seen[k.Value] = true
		if err := each(k.Value, entry); err != nil {
			return err
		}
	}
	return nil
}

// text reads a scalar and expands its variables.
func (r reader) text(at place, into *string) error {
	if at.node.Kind != yaml.ScalarNode || at.node.Tag == "!!null" {
		return r.fail(at, "expected text, found %s", describe(at.node))
	}
	value, err := expand(at.node.Value, r.vars)
	if err != nil {
		return r.fail(at, "%v", err)
	}
	if strings.ContainsRune(value, 0) {
		return r.fail(at, "has a NUL byte")
	}
	*into = value
	return nil
}

func (r reader) list(at place, each func(at place) error) error {
	if at.node.Kind != yaml.SequenceNode {
		return r.fail(at, "expected a list, found %s", describe(at.node))
	}
	for i, item := range at.node.Content {
		if err := each(place{node: item, key: fmt.Sprintf("%s[%d]", at.key, i)}); err != nil {
			return err
		}
	}
	return nil
}

func (r reader) texts(at place, into *[]string) error {
	return r.list(at, func(at place) error {
		var s string
		if err := r.text(at, &s); err != nil {
			return err
		}
		*into = append(*into, s)
		return nil
	})
}

func (r reader) boolean(at place, into *bool) error {
	if at.node.Kind != yaml.ScalarNode || at.node.Tag != "!!bool" {
		return r.fail(at, "expected true or false, found %s", describe(at.node))
	}
	return at.node.Decode(into)
}

func (r reader) integer(at place, low, high int, into *int) error {
	n, err := strconv.Atoi(at.node.Value)
	if at.node.Kind != yaml.ScalarNode || at.node.Tag != "!!int" || err != nil {
		return r.fail(at, "expected a whole number, found %s", describe(at.node))
	}
	if n < low || n > high {
		return r.fail(at, "expected %d to %d, found %d", low, high, n)
	}
	*into = n
	return nil
}

func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias (anchors and aliases are not supported)"
	case n.Tag == "!!null":
		return "nothing"
	default:
		return strconv.Quote(n.Value)
	}
}
