// Package config builds a program's configuration in layers, strictly.
//
// The layers, later ones winning: defaults in code, base.yaml, NAME.yaml, env/ENV.yaml, the environment
// (PGO_CFG_MYSQL__MAX_OPEN=20 sets mysql.max_open), flags. A key that the program does not know, a value of
// the wrong type and a value that does not pass the program's own checks are errors that name the file, the
// line, the key and what was expected. A secret comes from the environment, or from the file that the
// variable with _FILE at its end names.
package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// ExitCode is the exit code of a program whose configuration is bad (EX_CONFIG of sysexits.h).
const ExitCode = 78

// EnvPrefix starts every environment variable that sets a configuration key.
const EnvPrefix = "PGO_CFG_"

const (
	tag = "config" // names the key of a struct's field

	// squashTag puts the keys of a struct beside those of the struct that has it, instead of under a key of its own.
	squashTag = ",squash"
)

// environments lists the values of Options.Env.
var environments = []string{"dev", "test", "staging", "prod"}

// Options locate the layers.
type Options struct {
	Dir       string            // the directory that holds base.yaml, NAME.yaml and env/
	Name      string            // the program: user, bootcheck ...
	Env       string            // dev, test, staging or prod
	Environ   []string          // the environment as KEY=value, for example os.Environ()
	Overrides map[string]string // values from flags, by dotted key
}

// Error describes a bad configuration. Its text is one line.
type Error struct {
	File     string // the file, or "environment NAME", or "flag"; the directory if no layer has the value
	Line     int    // 0 without a line
	Key      string // dotted, empty when the file cannot be read as a whole
	Expected string // what was expected, and what was found
}

func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, e.Line)
	}
	if e.Key != "" {
		s += ": " + e.Key
	}
	return s + ": " + strings.ReplaceAll(e.Expected, "\n", " ")
}

// Validator checks a configuration after all layers are merged.
type Validator interface {
	Validate(c *Check)
}

// Load merges the layers over defaults and checks the result. Every error about the content is an *Error.
// It shares nothing with earlier calls, so it may be called at any time, also concurrently.
func Load[T any](defaults T, o Options) (T, error) {
	var zero T
	shape := reflect.TypeFor[T]()
	if !slices.Contains(environments, o.Env) {
		return zero, &Error{File: "environment PGO_ENV", Expected: fmt.Sprintf("expected one of %s, got %q", strings.Join(environments, ", "), o.Env)}
	}
	v := viper.New() // not shared: viper is not safe for concurrent use
	v.SetConfigType("yaml")
	seed := map[string]any{}
	if err := encodeDefaults(defaults, &seed); err != nil {
		return zero, fmt.Errorf("read defaults: %w", err)
	}
	if err := v.MergeConfigMap(seed); err != nil {
		return zero, fmt.Errorf("merge defaults: %w", err)
	}

	where := origins{}
	for _, path := range o.layerFiles() {
		if err := mergeFile(v, path, shape, where); err != nil {
			return zero, err
		}
	}
	if err := mergeEnviron(v, o.Environ, shape, where); err != nil {
		return zero, err
	}
	for _, key := range slices.Sorted(maps.Keys(o.Overrides)) {
		if err := setText(v, shape, key, o.Overrides[key], origin{file: "flag"}, where); err != nil {
			return zero, err
		}
	}

	var out T
	if err := v.UnmarshalExact(&out, configureDecoder); err != nil {
		return zero, &Error{File: o.Dir, Expected: err.Error()}
	}
	if val, ok := any(&out).(Validator); ok {
		c := &Check{env: o.Env, dir: o.Dir, where: where}
		val.Validate(c)
		if c.err != nil {
			return zero, c.err
		}
	}
	return out, nil
}

// configureDecoder makes viper use the config tag and accept no other type: the values already have theirs.
func configureDecoder(d *mapstructure.DecoderConfig) {
	d.TagName = tag
	d.WeaklyTypedInput = false
	d.DecodeHook = mapstructure.ComposeDecodeHookFunc(mapstructure.StringToTimeDurationHookFunc())
}

func encodeDefaults(from any, into *map[string]any) error {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{TagName: tag, Result: into, Deep: true})
	if err != nil {
		return err
	}
	return d.Decode(from)
}

// mergeEnviron sets the keys that PGO_CFG_ variables name. Two underscores separate levels.
func mergeEnviron(v *viper.Viper, environ []string, shape reflect.Type, where origins) error {
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		rest, ok := strings.CutPrefix(name, EnvPrefix)
		if !ok {
			continue
		}
		from := origin{file: "environment " + name}
		key := strings.ToLower(strings.ReplaceAll(rest, "__", "."))
		if secret, isFile := strings.CutSuffix(key, "_file"); isFile && leafType(shape, secret) == reflect.TypeFor[Secret]() {
			text, err := ReadSecretFile(value)
			if err != nil {
				return &Error{File: from.file, Key: secret, Expected: fmt.Sprintf("expected a readable file with the secret: %v", err)}
			}
			key, value = secret, text
		}
		if err := setText(v, shape, key, value, from, where); err != nil {
			return err
		}
	}
	return nil
}

// setText sets key from text, read as the type that the program gives the key.
func setText(v *viper.Viper, shape reflect.Type, key, text string, from origin, where origins) error {
	t := leafType(shape, key)
	if t == nil {
		return &Error{File: from.file, Key: key, Expected: describeKnownKeys(shape, key)}
	}
	value, err := parseText(t, text)
	if err != nil {
		return &Error{File: from.file, Key: key, Expected: err.Error()}
	}
	where[key] = from
	v.Set(key, value)
	return nil
}

// OptionsFromEnviron returns the options of the program name. Its environment may set PGO_CONFIG_DIR (default configs) and
// PGO_ENV (default dev).
func OptionsFromEnviron(name string, environ []string) Options {
	o := Options{Dir: "configs", Name: name, Env: "dev", Environ: environ}
	for _, kv := range environ {
		switch key, value, _ := strings.Cut(kv, "="); {
		case key == "PGO_CONFIG_DIR" && value != "":
			o.Dir = value
		case key == "PGO_ENV" && value != "":
			o.Env = value
		}
	}
	return o
}
