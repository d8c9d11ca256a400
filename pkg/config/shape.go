package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// leafType returns the type of the value at a dotted key of shape, nil when there is none.
func leafType(shape reflect.Type, key string) reflect.Type {
	t := shape
	for _, part := range strings.Split(key, ".") {
		if t = childType(t, part); t == nil {
			return nil
		}
	}
	if t.Kind() == reflect.Struct || t.Kind() == reflect.Map {
		return nil
	}
	return t
}

// childType returns the type of the value named part in t, nil when t has none.
func childType(t reflect.Type, part string) reflect.Type {
	switch t.Kind() {
	case reflect.Map:
		if part == "" {
			return nil
		}
		return t.Elem()
	case reflect.Struct:
		for i := range t.NumField() {
			switch t.Field(i).Tag.Get(tag) {
			case part:
				return t.Field(i).Type
			case squashTag:
				if found := childType(t.Field(i).Type, part); found != nil {
					return found
				}
			}
		}
	}
	return nil
}

// knownNames returns the names that child knows in a struct, those of squashed structs in their place.
func knownNames(t reflect.Type) []string {
	names := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get(tag); name == squashTag {
			names = append(names, knownNames(t.Field(i).Type)...)
		} else {
			names = append(names, name)
		}
	}
	return names
}

// describeKnownKeys lists the known keys at the level of the first unknown part of key.
func describeKnownKeys(shape reflect.Type, key string) string {
	t := shape
	for _, part := range strings.Split(key, ".") {
		next := childType(t, part)
		if next == nil {
			break
		}
		t = next
	}
	if t.Kind() != reflect.Struct {
		return "expected a known key"
	}
	return "expected a known key, one of " + strings.Join(knownNames(t), ", ")
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
)

// parseText reads text from the environment or a flag as a value of type t.
func parseText(t reflect.Type, text string) (any, error) {
	bad := func() error { return fmt.Errorf("expected %s, got %q", describeType(t), text) }
	switch {
	case t == secretType:
		return Secret(text), nil
	case t == durationType:
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, bad()
		}
		return d, nil
	}
	switch t.Kind() {
	case reflect.String:
		return text, nil
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, bad()
		}
		return b, nil
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, bad()
		}
		return n, nil
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, bad()
		}
		return f, nil
	case reflect.Slice:
		if text == "" {
			return []string{}, nil
		}
		return strings.Split(text, ","), nil
	}
	return nil, bad()
}

// describeType names a type in the words of a person who writes YAML.
func describeType(t reflect.Type) string {
	switch {
	case t == secretType:
		return "a secret from the environment or a file"
	case t == durationType:
		return `a duration such as "500ms" or "2m"`
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of texts"
	}
	return "a group of keys"
}
