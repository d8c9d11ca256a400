// Package configtest tests the section of a configuration that a package brings.
package configtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/pkg/config"
)

// Section is a part of a program's configuration that checks itself under its key.
type Section interface {
	Validate(c *config.Check, key string)
}

type program[T Section] struct {
	Part T `config:"part"`
}

func (p *program[T]) Validate(c *config.Check) { p.Part.Validate(c, "part") }

// AssertRejected loads the section once with defaults and the good values, which must pass, and once more with each of
// the bad ones in addition, which must be refused with an error that names its key. Values are key=value.
func AssertRejected[T Section](t *testing.T, defaults T, good, bad []string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "env"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"base.yaml", "sample.yaml", "env/test.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func(values []string) error {
		var environ []string
		for _, v := range values {
			key, value, _ := strings.Cut(v, "=")
			environ = append(environ, config.EnvPrefix+"PART__"+strings.ToUpper(key)+"="+value)
		}
		_, err := config.Load(program[T]{Part: defaults}, config.Options{Dir: dir, Name: "sample", Env: "test", Environ: environ})
		return err
	}
	if err := load(good); err != nil {
		t.Errorf("what is good is refused: %v", err)
	}
	for _, v := range bad {
		t.Run(v, func(t *testing.T) {
			key, _, _ := strings.Cut(v, "=")
			if err := load(append(append([]string{}, good...), v)); err == nil || !strings.Contains(err.Error(), "part."+key) {
				t.Errorf("got %v, want an error about part.%s", err, key)
			}
		})
	}
}
