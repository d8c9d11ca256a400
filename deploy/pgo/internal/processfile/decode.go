package processfile

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder fills structs from YAML nodes by their tags:
//
//   - yaml names the key; "-" means that no key sets the field.
//   - jsonschema holds required, enum, minimum, maximum, minItems and format. Bounds of a list apply to its items.
//   - decode is "short" (a value that is not a mapping sets this field; if it is a bool, a mapping sets it to true),
//     "inverted" (a bool that is stored negated) or "cpus" (a number, or the word cpus).
//
// yaml.v3's own decoder with KnownFields reports neither columns nor the path of keys, and knows no variables.
type decoder struct {
	file      string // as errors show it
	variables func(key string) (string, bool)
}

// Keys reports whether the file has a key of a section. More keys lead into nested sections.
type Keys func(path ...string) bool

type (
	defaulter interface{ Defaults() }
	validator interface{ Validate(given Keys) error }
	named     interface{ setName(name string) error } // an element of a list that the file writes as a mapping of names
)

// field holds the tags of a struct's field.
type field struct {
	index    int
	key      string
	decode   string
	required bool
	enum     []string
	min, max int
	minItems int
	format   string
}

// fieldsOf returns the fields of a struct that have a yaml tag.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		f := field{index: i, key: tag.Get("yaml"), decode: tag.Get("decode")}
		for rule := range strings.SplitSeq(tag.Get("jsonschema"), ",") {
			name, value, _ := strings.Cut(rule, "=")
			number, _ := strconv.Atoi(value) // texts are 0, and not used as numbers
			switch name {
			case "required":
				f.required = true
			case "enum":
				f.enum = append(f.enum, value)
			case "minimum":
				f.min = number
			case "maximum":
				f.max = number
			case "minItems":
				f.minItems = number
			case "format":
				f.format = value
			}
		}
		all = append(all, f)
	}
	return all
}

// decodeStruct fills a struct from a mapping, or its short field from another value. It returns all errors, joined, as all that
// decode something with parts.
func (d decoder) decodeStruct(at place, into reflect.Value) error {
	all := fieldsOf(into.Type())
	if i := slices.IndexFunc(all, func(f field) bool { return f.decode == "short" }); i >= 0 {
		short := into.Field(all[i].index)
		if at.node.Kind != yaml.MappingNode {
			return d.decodeValue(at, short, all[i])
		}
		if short.Kind() == reflect.Bool {
			short.SetBool(true)
		}
	}
	seen := map[string]bool{}
	err := d.eachEntry(at, func(key string, entry place) error {
		i := slices.IndexFunc(all, func(f field) bool { return f.key == key && key != "-" })
		if i < 0 {
			return d.newError(entry, "unknown key; known keys are %s", strings.Join(keysOf(all), ", "))
		}
		seen[key] = true
		return d.decodeValue(entry, into.Field(all[i].index), all[i])
	})
	for _, f := range all {
		if f.required && !seen[f.key] && at.node.Kind == yaml.MappingNode {
			err = errors.Join(err, d.newError(place{key: at.childKey(f.key), name: at.name}, "is missing"))
		}
	}
	if err != nil {
		return err // the keys can be compared once each is valid
	}
	if v, ok := into.Addr().Interface().(validator); ok {
		return d.locate(at, v.Validate(func(path ...string) bool { return hasKey(at.node, path...) }))
	}
	return nil
}

// keysOf returns the keys of the fields, sorted.
func keysOf(all []field) []string {
	var keys []string
	for _, f := range all {
		if f.key != "-" {
			keys = append(keys, f.key)
		}
	}
	slices.Sort(keys)
	return keys
}

// locate gives a keyError its position; other errors and nil stay as they are.
func (d decoder) locate(at place, err error) error {
	wrong, ok := errors.AsType[*keyError](err)
	switch {
	case !ok:
		return err
	case wrong.key == "":
		return d.newError(at, "%s", wrong.text)
	}
	entry := place{node: at.node, key: at.childKey(wrong.key), name: at.name}
	if name, value := findKey(at.node, wrong.key); name != nil {
		entry.node, entry.name = value, name
	}
	return d.newError(entry, "%s", wrong.text)
}

// newError returns an *Error at the place.
func (d decoder) newError(at place, text string, args ...any) error {
	e := &Error{Path: d.file, Key: at.key, Text: fmt.Sprintf(text, args...)}
	if at.name != nil {
		e.Line, e.Column = at.name.Line, at.name.Column
	} else if at.node != nil {
		e.Line, e.Column = at.node.Line, at.node.Column
	}
	return e
}

// decodeValue fills a field of any type.
func (d decoder) decodeValue(at place, into reflect.Value, f field) error {
	switch {
	case into.Kind() == reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return d.decodeValue(at, into.Elem(), f)
	case into.Kind() == reflect.Slice:
		return d.decodeList(at, into, f)
	case into.Kind() == reflect.Map:
		return d.decodeVariables(at, into)
	case into.Kind() == reflect.Struct:
		return d.decodeStruct(at, into)
	case f.format != "":
		return d.decodeFormat(at, into, f)
	case into.Kind() == reflect.Bool:
		return d.decodeBool(at, into, f)
	case into.Kind() == reflect.Int:
		return d.decodeInt(at, into, f)
	case into.Kind() == reflect.String:
		return d.decodeString(at, into, f)
	}
	return fmt.Errorf("%s: the decoder does not support %s", at.key, into.Type())
}

func (d decoder) decodeList(at place, into reflect.Value, f field) error {
	element := into.Type().Elem()
	if reflect.PointerTo(element).Implements(reflect.TypeFor[named]()) {
		return d.eachEntry(at, func(name string, at place) error {
			v := reflect.New(element)
			if def, ok := v.Interface().(defaulter); ok {
				def.Defaults()
			}
			err := d.locate(at, v.Interface().(named).setName(name))
			err = errors.Join(err, d.decodeStruct(at, v.Elem()))
			into.Set(reflect.Append(into, v.Elem()))
			return err
		})
	}
	if at.node.Kind != yaml.SequenceNode {
		return d.newError(at, "expected a list, found %s", describe(at.node))
	}
	if len(at.node.Content) < f.minItems {
		return d.newError(at, "is empty")
	}
	var failed error
	for i, item := range at.node.Content {
		v := reflect.New(element).Elem()
		item := place{node: item, key: fmt.Sprintf("%s[%d]", at.key, i)}
		var err error
		if element.Kind() == reflect.String && f.format == "" {
			var s string // may be empty
			s, err = d.readText(item)
			v.SetString(s)
		} else {
			err = d.decodeValue(item, v, f)
		}
		failed = errors.Join(failed, err)
		into.Set(reflect.Append(into, v))
	}
	return failed
}

// decodeVariables fills a map of environment variables.
func (d decoder) decodeVariables(at place, into reflect.Value) error {
	into.Set(reflect.MakeMap(into.Type()))
	return d.eachEntry(at, func(name string, at place) error {
		if !variablePattern.MatchString(name) {
			return d.newError(at, "expected a name of letters, digits and _")
		}
		value, err := d.readText(at)
		into.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf(value))
		return err
	})
}

func (d decoder) decodeFormat(at place, into reflect.Value, f field) error {
	s, err := d.readText(at)
	if err != nil {
		return err
	}
	value, ok := formats[f.format].parse(s)
	if !ok {
		return d.newError(at, "expected %s, found %q", formats[f.format].expected, s)
	}
	into.Set(reflect.ValueOf(value).Convert(into.Type()))
	return nil
}

func (d decoder) decodeString(at place, into reflect.Value, f field) error {
	s, err := d.readText(at)
	switch {
	case err != nil:
		return err
	case len(f.enum) > 0 && !slices.Contains(f.enum, s):
		return d.newError(at, "expected one of %s, found %q", strings.Join(f.enum, ", "), s)
	case s == "":
		return d.newError(at, "is empty")
	}
	into.SetString(s)
	return nil
}

func (d decoder) decodeBool(at place, into reflect.Value, f field) error {
	var b bool
	if at.node.Kind != yaml.ScalarNode || at.node.Tag != "!!bool" || at.node.Decode(&b) != nil {
		return d.newError(at, "expected true or false, found %s", describe(at.node))
	}
	into.SetBool(b != (f.decode == "inverted"))
	return nil
}

func (d decoder) decodeInt(at place, into reflect.Value, f field) error {
	if f.decode == "cpus" && at.node.Value == "cpus" {
		into.SetInt(int64(min(runtime.NumCPU(), f.max)))
		return nil
	}
	n, err := strconv.Atoi(at.node.Value)
	switch {
	case len(f.enum) > 0 && (at.node.Kind != yaml.ScalarNode || !slices.Contains(f.enum, at.node.Value)):
		return d.newError(at, "expected %s, found %s", strings.Join(f.enum, ", "), describe(at.node))
	case len(f.enum) > 0:
	case at.node.Kind != yaml.ScalarNode || at.node.Tag != "!!int" || err != nil:
		return d.newError(at, "expected a whole number, found %s", describe(at.node))
	case n < f.min || n > f.max:
		return d.newError(at, "expected %d to %d, found %d", f.min, f.max, n)
	}
	into.SetInt(int64(n))
	return nil
}

// readText returns a scalar with its variables expanded.
func (d decoder) readText(at place) (string, error) {
	if at.node.Kind != yaml.ScalarNode || at.node.Tag == "!!null" {
		return "", d.newError(at, "expected text, found %s", describe(at.node))
	}
	value, err := expandVariables(at.node.Value, d.variables)
	if err != nil {
		return "", d.newError(at, "%v", err)
	}
	if strings.ContainsRune(value, 0) {
		return "", d.newError(at, "has a NUL byte")
	}
	return value, nil
}

// eachEntry calls each for every key of a mapping, in order, and returns all errors. It rejects duplicate keys.
func (d decoder) eachEntry(at place, each func(key string, entry place) error) error {
	if at.node.Kind != yaml.MappingNode {
		return d.newError(at, "expected a mapping, found %s", describe(at.node))
	}
	var failed error
	seen := map[string]bool{}
	for i := 0; i+1 < len(at.node.Content); i += 2 {
		name, value := at.node.Content[i], at.node.Content[i+1]
		if name.Kind != yaml.ScalarNode {
			failed = errors.Join(failed, d.newError(place{key: at.key, name: name}, "expected a name as key, found %s", describe(name)))
			continue
		}
		entry := place{node: value, key: at.childKey(name.Value), name: name}
		if seen[name.Value] {
			failed = errors.Join(failed, d.newError(entry, "is there twice"))
			continue
		}
		seen[name.Value] = true
		failed = errors.Join(failed, each(name.Value, entry))
	}
	return failed
}

// findKey returns the nodes of a mapping's key and value; nil if the mapping does not have the key.
func findKey(mapping *yaml.Node, key string) (name, value *yaml.Node) {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// hasKey reports whether a path of keys leads to a value.
func hasKey(node *yaml.Node, path ...string) bool {
	for _, key := range path {
		name, value := findKey(node, key)
		if name == nil {
			return false
		}
		node = value
	}
	return true
}
