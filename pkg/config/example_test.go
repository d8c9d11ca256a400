package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pgo/pkg/config"
)

// mailConfig is a program's configuration. Validate runs after all layers are merged.
type mailConfig struct {
	Server  string `config:"server"`
	Retries int    `config:"retries"`
}

func (m *mailConfig) Validate(c *config.Check) {
	c.Expect(m.Retries > 0, "retries", "a number above 0")
}

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(filepath.Join(dir, "env"), 0o700); err != nil {
		panic(err)
	}
	for name, text := range map[string]string{"base.yaml": "", "mail.yaml": "server: mail:25\nretries: 3\n", "env/dev.yaml": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	options := config.Options{Dir: dir, Name: "mail", Env: "dev", Environ: []string{"PGO_CFG_RETRIES=5"}}
	cfg, err := config.Load(mailConfig{Server: "localhost:25", Retries: 1}, options)
	fmt.Println(cfg.Server, cfg.Retries, err)

	options.Overrides = map[string]string{"retries": "0"}
	_, err = config.Load(mailConfig{}, options)
	fmt.Println(strings.TrimPrefix(err.Error(), dir))
	// Output:
	// mail:25 5 <nil>
	// flag: retries: expected a number above 0
}
