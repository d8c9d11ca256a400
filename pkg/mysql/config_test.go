package mysql_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/pkg/config"
	"pgo/pkg/mysql"
)

type sample struct {
	Part mysql.Config `config:"part"`
}

func (s *sample) Validate(c *config.Check) { s.Part.Validate(c, "part") }

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "env"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"base.yaml", "sample.yaml", "env/test.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := map[string]string{"username": "u", "database": "d", "password": "a-test-password-of-ours"}
	for _, tc := range []struct{ key, value string }{
		{"", ""}, // nothing wrong
		{"addr", ""}, {"username", ""}, {"database", ""}, {"max_open", "0"}, {"max_idle", "0"}, {"lock_wait", "10ms"}, {"password", ""},
	} {
		t.Run(tc.key+"="+tc.value, func(t *testing.T) {
			environ := []string{}
			for k, v := range good {
				if k != tc.key {
					environ = append(environ, "PGO_CFG_PART__"+strings.ToUpper(k)+"="+v)
				}
			}
			if tc.key != "" {
				environ = append(environ, "PGO_CFG_PART__"+strings.ToUpper(tc.key)+"="+tc.value)
			}
			_, err := config.Load(sample{Part: mysql.Defaults()}, config.Options{Dir: dir, Name: "sample", Env: "test", Environ: environ})
			if tc.key == "" && err != nil {
				t.Errorf("what is good is refused: %v", err)
			}
			if tc.key != "" && (err == nil || !strings.Contains(err.Error(), "part."+tc.key)) {
				t.Errorf("got %v, want an error about part.%s", err, tc.key)
			}
		})
	}
}
