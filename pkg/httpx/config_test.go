package httpx_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/pkg/config"
	"pgo/pkg/httpx"
)

type sample struct {
	Part httpx.Config `config:"part"`
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
	good := map[string]string{"addr": "127.0.0.1:8081", "trusted_proxies": "127.0.0.1,10.0.0.0/8,::1"}
	for _, tc := range []struct{ key, value string }{
		{"", ""}, // nothing wrong
		{"addr", ""}, {"admin_addr", ""}, {"request_timeout", "0s"}, {"drain_timeout", "-1s"}, {"max_body", "0"},
		{"trusted_proxies", "gateway"}, {"trusted_proxies", "127.0.0.1,10.0.0.0/33"},
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
			_, err := config.Load(sample{Part: httpx.Defaults()}, config.Options{Dir: dir, Name: "sample", Env: "test", Environ: environ})
			if tc.key == "" && err != nil {
				t.Errorf("what is good is refused: %v", err)
			}
			if tc.key != "" && (err == nil || !strings.Contains(err.Error(), "part."+tc.key)) {
				t.Errorf("got %v, want an error about part.%s", err, tc.key)
			}
		})
	}
}
