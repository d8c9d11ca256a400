package processfile

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Error is an error in a process file and its position. It prints as one line.
type Error struct {
	Path   string // as it was given, so it may be relative
	Line   int    // 0: no position
	Column int    // 0: unknown
	Key    string // path such as processes.user.ready; empty for the whole file
	Text   string
}

// Error returns FILE:LINE:COLUMN: KEY: TEXT, without the parts that are unknown.
func (e *Error) Error() string {
	where := e.Path
	if e.Line > 0 {
		where += ":" + strconv.Itoa(e.Line)
	}
	if e.Line > 0 && e.Column > 0 {
		where += ":" + strconv.Itoa(e.Column)
	}
	if e.Key != "" {
		where += ": " + e.Key
	}
	return where + ": " + e.Text
}

// keyError is the error of a Validate method: the decoder adds the position of the key, or of the section if key is empty.
type keyError struct {
	key  string
	text string
}

func (e *keyError) Error() string { return e.key + ": " + e.text }

// place is a node of the file and the path of keys that leads to it.
type place struct {
	node *yaml.Node
	key  string
	name *yaml.Node // key node of a mapping's entry, whose position errors show: a value may start lines below it
}

// childKey returns the path of a key below this place.
func (p place) childKey(key string) string {
	if p.key == "" {
		return key
	}
	return p.key + "." + key
}

// describe names a node in an error.
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
